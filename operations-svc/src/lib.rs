//! Reconciles operations: the shell around the operation machine of `binnacle_domain`.
//!
//! A worker opens a stream to every scheduler and is granted operations; for each it does what
//! the machine says, and nothing else: it has calls made by an executor, saves what came of them,
//! and has the registry apply the outcome. All state is the scheduler's; what is held here may be
//! lost at any moment, and the next holder carries on from what was saved.
//!
//! One task, the [`worker`], holds every granted operation and decides; the other tasks are the
//! ends of streams, which carry frames in and out and open their stream again when it breaks.

mod finalizer;
mod identity;
mod link;
mod metrics;
mod session;
mod timers;
mod worker;

use std::path::PathBuf;

use binnacle_boot::grpc::Peers;
use binnacle_boot::{Context, health, http, ids};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::finalizer::Finalizer;
use crate::link::{Links, executor, scheduler};
use crate::metrics::Metrics;
use crate::worker::Worker;

/// Frames of streams that may wait for the worker.
const EVENTS: usize = 256;

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
pub enum Error {
    #[error(transparent)]
    Identity(#[from] identity::Error),
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Runs the worker until the shutdown. The listener serves health and metrics.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    let Config {
        schedulers,
        executors,
        directors,
        data_dir,
        capacity,
    } = config;
    let identity = identity::Identity::take(&data_dir, ids::v4())?;
    let metrics = Metrics::register(&context.metrics)?;
    let Context {
        shutdown,
        readiness,
        metrics: registry,
        in_process,
    } = context;
    readiness.require("schedulers", metrics.at_least_one(&metrics.schedulers));
    readiness.require("executors", metrics.at_least_one(&metrics.executors));
    let routes = health::routes(readiness.clone(), registry);
    shutdown.spawn(http::serve(listener, routes, shutdown.clone()));

    let (events, inbox) = mpsc::channel(EVENTS);
    let links = Links::new(events.clone(), in_process.clone(), shutdown.clone());
    let hello = identity.hello();
    links.follow(&schedulers, {
        let hello = hello.clone();
        move |address, end| scheduler::keep(address, hello.clone(), end)
    });
    links.follow(&executors, move |address, end| {
        executor::keep(address, hello.session_id.clone(), end)
    });
    let directors = directors.balanced(&in_process, &shutdown);
    let finalizer = Finalizer::new(directors, events, shutdown.clone());
    readiness.started();
    Worker::new(capacity, finalizer, metrics)
        .run(inbox, shutdown)
        .await;
    drop(identity);
    Ok(())
}
