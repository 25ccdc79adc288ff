//! Which media type an answer has.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

/// What GraphQL is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`, where a well-formed request is always answered with 200.
    Json,
    /// `application/graphql-response+json`, where a document that cannot be executed is not.
    GraphqlResponse,
}

impl Media {
    pub(super) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        })
    }

    /// The type that the client likes best, and of equals the first; JSON where it does not care.
    /// `None` if it takes neither.
    pub(super) fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let mut asked = false;
        for value in headers.get_all(ACCEPT) {
            asked = true;
            let ranges = value.to_str().unwrap_or_default().split(',');
            for (quality, media) in ranges.filter_map(range) {
                if quality > best.map_or(0.0, |(quality, _)| quality) {
                    best = Some((quality, media));
                }
            }
        }
        if asked {
            best.map(|(_, media)| media)
        } else {
            Some(Self::Json)
        }
    }
}

/// One part of an `Accept` header, if it is about us.
fn range(text: &str) -> Option<(f32, Media)> {
    let mut parts = text.split(';').map(str::trim);
    let media = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" | "*/*" => Media::Json,
        "application/graphql-response+json" => Media::GraphqlResponse,
        _ => return None,
    };
    let mut quality = 1.0;
    for parameter in parts {
        match parameter.split_once('=') {
            Some(("q" | "Q", value)) => quality = value.parse().ok()?,
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => is_utf8(value)?,
            _ => {}
        }
    }
    Some((quality, media))
}

/// Whether a request's body says that it is JSON in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(text)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    is_json
        && parts
            .filter_map(|parameter| parameter.split_once('='))
            .all(|(name, value)| !name.eq_ignore_ascii_case("charset") || is_utf8(value).is_some())
}

fn is_utf8(charset: &str) -> Option<()> {
    let charset = charset.trim_matches('"');
    (charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &'static str) -> Option<Media> {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        Media::accepted(&headers)
    }

    #[test]
    fn the_client_chooses_and_json_is_the_default() {
        assert_eq!(Media::accepted(&HeaderMap::new()), Some(Media::Json));
        for (accept, expected) in [
            ("*/*", Some(Media::Json)),
            ("application/json; charset=UTF-8", Some(Media::Json)),
            ("application/json; charset=latin1", None),
            (
                "application/graphql-response+json",
                Some(Media::GraphqlResponse),
            ),
            (
                "application/json;q=0.9, application/graphql-response+json",
                Some(Media::GraphqlResponse),
            ),
            (
                "application/graphql-response+json;q=0.1, text/html, */*;q=0.5",
                Some(Media::Json),
            ),
            ("text/html", None),
            ("application/json;q=0", None),
            ("", None),
        ] {
            assert_eq!(accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn a_body_is_json_in_utf8_or_nothing() {
        for (kind, expected) in [
            ("application/json", true),
            ("Application/JSON; charset=\"utf-8\"", true),
            ("application/json; charset=iso-8859-1", false),
            ("text/plain", false),
            ("multipart/form-data; boundary=x", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(is_json(&headers), expected, "{kind}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
