//! The gateway's HTTP door: GraphQL, GraphiQL, poll URLs.
//!
//! GraphQL is answered by the GraphQL-over-HTTP specification, which the library's own
//! integration follows only in part: media types are negotiated, mutations are never run by GET,
//! and a document is looked at by the [`guard`](crate::guard) before anything else happens to it.
//! Where a client of Compass sees a status, it is Compass's.
//!
//! *Invariant*: nothing here knows what a field means; resolvers do, and [`poll`](crate::poll).

mod graphiql;
mod graphql;
mod media;
mod metrics;
mod params;
mod plain;
mod polls;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::any;
use binnacle_boot::{ids, telemetry};
use http::HeaderMap;
use tower_http::catch_panic::CatchPanicLayer;

pub use self::metrics::Metrics;
use crate::graphql::{Caller, GatewaySchema};
use crate::guard::Guard;
use crate::poll::Polls;
use crate::registry::Registry;

/// The longest body that is read: clients inline whole API specifications.
pub const BODY_LIMIT: usize = 2 * 1024 * 1024;

const TENANT: &str = "tenant";
const CORRELATION: &str = "x-request-id";
/// The longest correlation id that is taken over from a client.
const CORRELATION_LENGTH: usize = 256;

/// What is behind the door.
pub struct Door {
    pub guard: Arc<Guard>,
    pub schema: GatewaySchema,
    pub registry: Registry,
    pub polls: Polls,
    pub metrics: Metrics,
    /// External id of the tenant of requests that name none.
    pub default_tenant: Option<Arc<str>>,
}

/// The routes of the door, each request in a span of its own.
pub fn routes(door: Door) -> Router {
    let routes = Router::new()
        .route("/graphql", any(graphql::answer))
        .route("/director/graphql", any(graphql::answer))
        .route(
            "/last_operation/{resource_type}/{resource_id}",
            any(polls::last_operation),
        )
        .route(
            "/director/last_operation/{resource_type}/{resource_id}",
            any(polls::last_operation),
        )
        .route("/operations/{operation_id}", any(polls::operation))
        .with_state(Arc::new(door))
        .merge(graphiql::routes())
        .layer(DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(plain::panicked));
    telemetry::traced(routes)
}

impl Door {
    /// Who asks, by the request's headers.
    fn caller(&self, headers: &HeaderMap) -> Caller {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let tenant = text(TENANT).filter(|tenant| !tenant.is_empty());
        let correlation_id = text(CORRELATION)
            .filter(|id| !id.is_empty() && id.len() <= CORRELATION_LENGTH)
            .map_or_else(|| ids::v4().to_string(), str::to_owned);
        tracing::Span::current().record("correlation.id", correlation_id.as_str());
        Caller {
            tenant: tenant.or(self.default_tenant.as_deref()).map(str::to_owned),
            headers: headers.clone(),
            correlation_id,
        }
    }
}
