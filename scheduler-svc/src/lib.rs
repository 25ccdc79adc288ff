//! Records, leases and watches operations.

use binnacle_boot::Context;
use binnacle_boot::database::{self, DatabaseUrl};
use binnacle_boot::grpc;
use tokio::net::TcpListener;

/// What the scheduler is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the operations are.
    pub database: DatabaseUrl,
}

/// Why the scheduler cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] database::Error),
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
}

/// Runs the scheduler until the shutdown.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    drop((config, listener));
    context.readiness.started();
    context.shutdown.cancelled().await;
    Ok(())
}
