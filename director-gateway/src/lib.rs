//! GraphQL in; owns the registry.

pub mod graphql;
pub mod guard;
pub mod http;
pub mod operations;
pub mod poll;
pub mod registry;
mod service;
mod start;

use std::sync::Arc;

use binnacle_boot::Context;
use binnacle_boot::database::{self, DatabaseUrl};
use binnacle_boot::grpc::{self, Peers};
use binnacle_boot::health;
use binnacle_proto::director::v1::director_service_server::DirectorServiceServer;
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use tokio::net::TcpListener;
use url::Url;
use uuid::Uuid;

use crate::operations::Operations;
use crate::registry::Registry;

/// Who every caller is without authentication.
const ADMINISTRATOR: &str = "admin";

/// What the gateway is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the registry is.
    pub database: DatabaseUrl,
    /// The schedulers, any of which takes an operation.
    pub schedulers: Peers,
    /// What poll URLs start with; not the `Host` header, which a caller may choose.
    pub public_url: Url,
    /// External id of the tenant of a request that names none; made on a fresh database. `None`:
    /// such a request is refused.
    pub default_tenant: Option<Uuid>,
}

/// The gateway's doors.
#[derive(Debug)]
pub struct Listeners {
    /// GraphQL, poll URLs, health and metrics.
    pub http: TcpListener,
    /// `binnacle.director.v1`.
    pub grpc: TcpListener,
}

/// Why the gateway cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
    #[error("cannot register the metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("the default tenant cannot be made")]
    DefaultTenant(#[from] registry::Error),
}

/// Runs the gateway until the shutdown.
pub async fn run(config: Config, listeners: Listeners, context: Context) -> Result<(), Error> {
    let Config {
        database,
        schedulers,
        public_url,
        default_tenant,
    } = config;
    let shutdown = &context.shutdown;
    let registry = Registry::open(&database, database::Options::default(), shutdown).await?;
    let default_tenant = default_tenant.map(|tenant| tenant.to_string());
    if let Some(tenant) = &default_tenant {
        registry.ensure_tenant(tenant).await?;
    }
    let pinged = registry.database().clone();
    context.readiness.require("database", move || {
        let database = pinged.clone();
        async move { database.ping().await }
    });

    let (operations, queue) = Operations::start(registry.database().clone(), shutdown);
    let scheduler = SchedulerServiceClient::new(schedulers.balanced(&context.in_process, shutdown));
    let relay = operations::relay(
        operations.clone(),
        queue,
        scheduler.clone(),
        shutdown.clone(),
    );
    shutdown.spawn(relay);

    let public_url = public_url.as_str().trim_end_matches('/').to_owned();
    let service = service::Service::new(registry.clone(), operations.clone(), public_url.clone());
    let options = graphql::Options {
        public_url,
        user: ADMINISTRATOR.to_owned(),
    };
    let door = http::Door {
        guard: Arc::default(),
        schema: graphql::schema(registry.clone(), operations.clone(), options),
        metrics: http::Metrics::register(&context.metrics)?,
        polls: poll::Polls::new(registry.clone(), operations, scheduler, shutdown.clone()),
        registry: registry.clone(),
        default_tenant: default_tenant.map(Arc::from),
    };
    let health = health::routes(context.readiness.clone(), context.metrics.clone());
    let router = http::routes(door).merge(health);
    let api = grpc::Api::new(binnacle_proto::DESCRIPTORS).with(DirectorServiceServer::new(service));
    context.readiness.started();
    let serve_http = binnacle_boot::http::serve(listeners.http, router, shutdown.clone());
    let ((), served) = tokio::join!(serve_http, grpc::serve(listeners.grpc, api, &context));
    served?;
    Ok(())
}
