//! Makes the HTTP calls.

use std::time::Duration;

use binnacle_boot::Context;
use binnacle_boot::grpc;
use tokio::net::TcpListener;

/// What the executor is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP exchanges that it makes at once.
    pub capacity: u32,
    /// How long one HTTP exchange may last.
    pub exchange_timeout: Duration,
}

/// Why the executor cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Grpc(#[from] grpc::Error),
}

/// Runs the executor until the shutdown.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    drop((config, listener));
    context.readiness.started();
    context.shutdown.cancelled().await;
    Ok(())
}
