//! Makes the HTTP calls of webhooks.
//!
//! The operations service opens a stream and sends calls; each becomes one HTTP exchange and is
//! answered by one report. Nothing is kept: a call that is lost with its stream is the caller's
//! to repeat, with the same idempotency key. What is sent and what an answer means is decided in
//! `binnacle_domain::webhook`; here are the connections, the limits and what may be told of them.

mod bulkhead;
mod call;
mod client;
mod exchange;
mod metrics;
mod redact;
mod service;
mod session;

use std::sync::Arc;
use std::time::Duration;

use binnacle_boot::{Context, grpc};
use binnacle_proto::executor::v1::executor_service_server::ExecutorServiceServer;
use tokio::net::TcpListener;

use crate::bulkhead::Bulkhead;
use crate::exchange::Exchanges;
use crate::metrics::Metrics;
use crate::redact::Redactor;
use crate::service::Executor;

/// Frames carry whole webhooks with their templates.
const MAX_FRAME_BYTES: usize = 64 << 20;
/// One host and port may take this fraction of the exchanges that are made at once.
const DESTINATION_SHARE: usize = 4;

/// What the executor is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// HTTP exchanges that it makes at once.
    pub capacity: u32,
    /// How long one HTTP exchange may last.
    pub exchange_timeout: Duration,
}

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the HTTP client cannot be set up")]
    Client(#[from] reqwest::Error),
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
    #[error("the patterns of secrets cannot be compiled")]
    Patterns(#[from] regex::Error),
    #[error(transparent)]
    Serve(#[from] grpc::Error),
}

/// Serves `binnacle.executor.v1` on `listener` until the shutdown.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    let Config {
        capacity,
        exchange_timeout,
    } = config;
    let all = capacity.max(1) as usize;
    let per_destination = (all / DESTINATION_SHARE).max(1);
    let exchanges = Exchanges {
        client: client::build(per_destination)?,
        bulkhead: Bulkhead::new(all, per_destination),
        redactor: Redactor::new()?,
        metrics: Metrics::register(&context.metrics)?,
        timeout: exchange_timeout,
    };
    let service = Executor {
        exchanges: Arc::new(exchanges),
        shutdown: context.shutdown.clone(),
        capacity,
    };
    let server = ExecutorServiceServer::new(service).max_decoding_message_size(MAX_FRAME_BYTES);
    let api = grpc::Api::new(binnacle_proto::DESCRIPTORS).with(server);
    context.readiness.started();
    grpc::serve(listener, api, &context).await?;
    Ok(())
}
