//! GraphQL in; owns the registry.

pub mod graphql;
pub mod guard;
pub mod http;
pub mod operations;
pub mod poll;
pub mod registry;
pub mod service;

use binnacle_boot::Context;
use binnacle_boot::database::{self, DatabaseUrl};
use binnacle_boot::grpc::{self, Peers};
use tokio::net::TcpListener;
use url::Url;
use uuid::Uuid;

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
}

/// Runs the gateway until the shutdown.
pub async fn run(config: Config, listeners: Listeners, context: Context) -> Result<(), Error> {
    drop((config, listeners));
    context.readiness.started();
    context.shutdown.cancelled().await;
    Ok(())
}
