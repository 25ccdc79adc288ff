//! `/graphiql`, from the binary: it works without the internet.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

/// Scripts and requests are ours alone. GraphiQL styles elements directly and carries its fonts
/// inside its style sheet.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; \
                      img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

struct Asset {
    name: &'static str,
    content_type: &'static str,
    is_compressed: bool,
    bytes: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $content_type:expr) => {
        Asset {
            name: $name,
            content_type: $content_type,
            is_compressed: false,
            bytes: include_bytes!(concat!("../../assets/graphiql/", $name)),
        }
    };
    ($name:literal, $content_type:expr, compressed) => {
        Asset {
            name: $name,
            content_type: $content_type,
            is_compressed: true,
            bytes: include_bytes!(concat!("../../assets/graphiql/", $name, ".gz")),
        }
    };
}

const PAGE: Asset = asset!("index.html", "text/html; charset=utf-8");

const ASSETS: [Asset; 6] = [
    asset!("boot.js", SCRIPT),
    asset!("page.css", STYLE),
    asset!("graphiql.min.js", SCRIPT, compressed),
    asset!("graphiql.min.css", STYLE, compressed),
    asset!("react.production.min.js", SCRIPT, compressed),
    asset!("react-dom.production.min.js", SCRIPT, compressed),
];

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/graphiql", get(async || PAGE.into_response()))
        .route("/graphiql/{asset}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Response {
    match ASSETS.into_iter().find(|asset| asset.name == name) {
        Some(asset) => asset.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        let headers: [(HeaderName, &'static str); 5] = [
            (CONTENT_TYPE, self.content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (CACHE_CONTROL, "no-cache"),
        ];
        let mut response = (headers, self.bytes).into_response();
        if self.is_compressed {
            // There is no other form of it; every browser takes this one.
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}
