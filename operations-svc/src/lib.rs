//! Reconciles operations: the shell around the operation machine.

use std::path::PathBuf;

use binnacle_boot::Context;
use binnacle_boot::grpc::Peers;
use tokio::net::TcpListener;

/// What the worker is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The schedulers, all of which it works for.
    pub schedulers: Peers,
    /// The executors, any of which makes a call.
    pub executors: Peers,
    /// The gateways, any of which finalizes.
    pub directors: Peers,
    /// Where the worker keeps its instance id, and locks it.
    pub data_dir: PathBuf,
    /// Operations that it holds at once.
    pub capacity: u32,
}

/// Why the worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {}

/// Runs the worker until the shutdown. The listener serves health and metrics.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    drop((config, listener));
    context.readiness.started();
    context.shutdown.cancelled().await;
    Ok(())
}
