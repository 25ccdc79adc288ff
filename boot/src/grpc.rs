//! Serving gRPC, and reaching those who do.

mod balanced;
mod in_process;
mod peers;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::IntoResponse;
pub use in_process::{Channel, Codec, InProcess};
pub use peers::{InvalidPeers, Peers, channel};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use crate::connection;
use crate::{Context, Readiness, health, telemetry};

/// How often `grpc.health.v1` is told what readiness says: while the service is ready, and while it is not.
const READY: Duration = Duration::from_secs(5);
const UNREADY: Duration = Duration::from_secs(1);

/// The services behind one gRPC door.
pub struct Api {
    routes: Routes,
    names: Vec<&'static str>,
    descriptors: &'static [u8],
}

/// Why an API cannot be served: its descriptors cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the descriptors for reflection cannot be read")]
pub struct Error(#[from] tonic_reflection::server::Error);

impl Api {
    /// No services yet. `descriptors` is an encoded `FileDescriptorSet` that describes all that
    /// will be added, and possibly more.
    pub fn new(descriptors: &'static [u8]) -> Self {
        Self {
            routes: Routes::default(),
            names: Vec::new(),
            descriptors,
        }
    }

    #[must_use]
    pub fn with<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = self.routes.add_service(service);
        self
    }

    fn with_reflection(mut self) -> Result<Self, Error> {
        let described = |names: &[&'static str]| {
            let builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(self.descriptors)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(
                    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
                )
                .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health")
                .with_service_name("grpc.reflection.v1.ServerReflection")
                .with_service_name("grpc.reflection.v1alpha.ServerReflection");
            names
                .iter()
                .fold(builder, |builder, name| builder.with_service_name(*name))
        };
        let current = described(&self.names).build_v1()?;
        let older = described(&self.names).build_v1alpha()?;
        self.routes = self.routes.add_service(current).add_service(older);
        Ok(self)
    }
}

/// Serves `api` on `listener` until the shutdown, with health, reflection (v1 and v1alpha) and the
/// trace context of the caller; and over plain HTTP `/healthz`, `/readyz` and `/metrics`. Roles of this
/// process reach it [in process](InProcess).
///
/// Returns when nothing more is accepted. Calls in progress go on as tasks of the shutdown, for up
/// to ten seconds; a stream that lasts has to watch the shutdown and end by itself, or is cut.
pub async fn serve(listener: TcpListener, api: Api, context: &Context) -> Result<(), Error> {
    let mut api = api.with_reflection()?;
    let (reporter, health_service) = tonic_health::server::health_reporter();
    api.routes = api.routes.add_service(health_service);
    let Context {
        shutdown,
        readiness,
        metrics,
        in_process,
    } = context.clone();
    let mut is_ready = report(&reporter, &readiness, &api.names).await;
    let (stopping, asked) = (shutdown.clone(), readiness.clone());
    shutdown.spawn(async move {
        while !stopping.is_cancelled() {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(if is_ready { READY } else { UNREADY }) => {}
            }
            is_ready = report(&reporter, &readiness, &api.names).await;
        }
    });
    let router = telemetry::traced(api.routes.prepare().into_axum_router())
        .merge(health::routes(asked, metrics));
    let router = Arc::new(router);
    if let Ok(address) = listener.local_addr() {
        in_process.serve(address, &router, &shutdown);
    }
    connection::serve(listener, Router::clone(&router), shutdown).await;
    Ok(())
}

/// Tells the health service about the server as a whole and about each of its services, and whether it is ready.
async fn report(reporter: &HealthReporter, readiness: &Readiness, names: &[&'static str]) -> bool {
    let is_ready = readiness.obstacles().await.is_empty();
    let status = if is_ready {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for name in names.iter().chain([&""]) {
        reporter.set_service_status(*name, status).await;
    }
    is_ready
}
