//! Records operations, leases them to workers, and lets everybody watch.
//!
//! Owns the operations database, which is the truth about an operation. Replicas share nothing but it.

mod claims;
mod config;
mod metrics;
mod service;
mod store;
mod submission;
mod watch;
mod work;
mod workers;

use std::{sync::Arc, time::Instant};

use binnacle_boot::{
    Context,
    database::{self, Database},
    grpc,
};
use binnacle_proto::{
    DESCRIPTORS, scheduler::v1::scheduler_service_server::SchedulerServiceServer,
};
pub use config::Config;
pub use store::StartError;
use tokio::net::TcpListener;

use crate::{
    claims::Claims, metrics::Metrics, service::Service, store::Store, work::Work, workers::Workers,
};

/// Why the service ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the operations database cannot be used")]
    Database(#[from] database::Error),
    #[error("the store does not start")]
    Store(#[from] StartError),
    #[error("cannot register the metrics")]
    Metrics(#[from] prometheus::Error),
    #[error("cannot serve gRPC")]
    Serve(#[from] grpc::Error),
}

/// Serves `binnacle.scheduler.v1` on `listener` until the shutdown.
///
/// # Errors
/// When the database cannot be opened or migrated.
pub async fn run(config: Config, listener: TcpListener, context: Context) -> Result<(), Error> {
    let Config {
        database,
        database_options,
        lease,
    } = config;
    let options = database::Options {
        settings: store::SETTINGS,
        ..database_options
    };
    let database = Database::open(&database, store::SCHEMA, options).await?;
    database.migrate(store::SCHEMA, store::MIGRATIONS).await?;
    let pinged = database.clone();
    context.readiness.require("operations database", move || {
        let database = pinged.clone();
        async move { database.ping().await }
    });
    let store = Store::start(database.clone(), &context.metrics, &context.shutdown).await?;
    let claims = Claims {
        store,
        workers: Arc::new(Workers::default()),
        metrics: Metrics::register(&context.metrics)?,
        takes_over_from: Instant::now() + lease,
    };
    context
        .shutdown
        .spawn(claims.clone().run(context.shutdown.clone()));
    let work = Work {
        claims,
        lease,
        shutdown: context.shutdown.clone(),
    };
    let service = Service {
        work: Arc::new(work),
    };
    context.readiness.started();
    let api = grpc::Api::new(DESCRIPTORS).with(SchedulerServiceServer::new(service));
    grpc::serve(listener, api, &context).await?;
    Ok(())
}
