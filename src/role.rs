//! Running roles: each alone, or all of them in this process.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use binnacle_boot::Shutdown;
use binnacle_boot::grpc::Peers;
use url::Url;

use crate::cli::{
    CallArgs, DatabaseArgs, ExecutorArgs, GatewayArgs, OperationsServiceArgs, RegistryArgs,
    SchedulerArgs, UpArgs,
};
use crate::listen::{self, Bound};
use crate::mesh::Mesh;

// How long each role may take to stop. Together they stay below the half minute that a process
// is given.
const STOP_WORKER: Duration = Duration::from_secs(8);
const STOP_EXECUTOR: Duration = Duration::from_secs(3);
const STOP_GATEWAY: Duration = Duration::from_secs(11);
const STOP_SCHEDULER: Duration = Duration::from_secs(5);

/// Runs all roles until a signal stops them.
pub(crate) async fn up(args: UpArgs) -> anyhow::Result<()> {
    let ready_file = args.common.ready_file.clone();
    let mesh = Box::pin(start_all(args)).await?;
    serve(mesh, ready_file.as_deref()).await
}

/// Starts all roles. They call one another in this process, and anybody else calls them at the addresses
/// that they are bound to.
pub(crate) async fn start_all(args: UpArgs) -> anyhow::Result<Mesh> {
    let UpArgs {
        gateway_addr,
        director_addr,
        scheduler_addr,
        executor_addr,
        operations_addr,
        registry,
        worker,
        calls,
        database,
        common,
    } = args;
    let http = listen::bind("gateway-addr", gateway_addr, common.auth).await?;
    let director = listen::bind("director-addr", director_addr, common.auth).await?;
    let scheduler = listen::bind("scheduler-addr", scheduler_addr, common.auth).await?;
    let executor = listen::bind("executor-addr", executor_addr, common.auth).await?;
    let operations = listen::bind("operations-addr", operations_addr, common.auth).await?;
    let schedulers = Peers::from(scheduler.address);
    let config = operations_svc::Config {
        schedulers: schedulers.clone(),
        executors: executor.address.into(),
        directors: director.address.into(),
        data_dir: database.data.data_dir.clone(),
        capacity: worker.worker_capacity,
    };
    let mut mesh = Mesh::calling_at([director.address, scheduler.address, executor.address]);
    start_operations(&mut mesh, config, operations);
    start_executor(&mut mesh, &calls, executor);
    start_gateway(
        &mut mesh,
        gateway_config(&registry, &database, schedulers, &http)?,
        http,
        director,
    );
    start_scheduler(&mut mesh, &database, scheduler);
    Ok(mesh)
}

/// Runs a gateway until a signal stops it.
pub(crate) async fn gateway(args: GatewayArgs) -> anyhow::Result<()> {
    let GatewayArgs {
        gateway_addr,
        director_addr,
        scheduler_addr,
        registry,
        database,
        common,
    } = args;
    let http = listen::bind("gateway-addr", gateway_addr, common.auth).await?;
    let director = listen::bind("director-addr", director_addr, common.auth).await?;
    let mut mesh = Mesh::default();
    let config = gateway_config(&registry, &database, scheduler_addr, &http)?;
    start_gateway(&mut mesh, config, http, director);
    serve(mesh, common.ready_file.as_deref()).await
}

/// Runs a scheduler until a signal stops it.
pub(crate) async fn scheduler(args: SchedulerArgs) -> anyhow::Result<()> {
    let SchedulerArgs {
        scheduler_addr,
        database,
        common,
    } = args;
    let bound = listen::bind("scheduler-addr", scheduler_addr, common.auth).await?;
    let mut mesh = Mesh::default();
    start_scheduler(&mut mesh, &database, bound);
    serve(mesh, common.ready_file.as_deref()).await
}

/// Runs a webhook executor until a signal stops it.
pub(crate) async fn executor(args: ExecutorArgs) -> anyhow::Result<()> {
    let ExecutorArgs {
        executor_addr,
        calls,
        common,
    } = args;
    let bound = listen::bind("executor-addr", executor_addr, common.auth).await?;
    let mut mesh = Mesh::default();
    start_executor(&mut mesh, &calls, bound);
    serve(mesh, common.ready_file.as_deref()).await
}

/// Runs the role that drives operations until a signal stops it.
pub(crate) async fn operations(args: OperationsServiceArgs) -> anyhow::Result<()> {
    let OperationsServiceArgs {
        operations_addr,
        scheduler_addr,
        executor_addr,
        director_addr,
        worker,
        data,
        common,
    } = args;
    let bound = listen::bind("operations-addr", operations_addr, common.auth).await?;
    let config = operations_svc::Config {
        schedulers: scheduler_addr,
        executors: executor_addr,
        directors: director_addr,
        data_dir: data.data_dir,
        capacity: worker.worker_capacity,
    };
    let mut mesh = Mesh::default();
    start_operations(&mut mesh, config, bound);
    serve(mesh, common.ready_file.as_deref()).await
}

fn gateway_config(
    registry: &RegistryArgs,
    database: &DatabaseArgs,
    schedulers: Peers,
    http: &Bound,
) -> anyhow::Result<director_gateway::Config> {
    let RegistryArgs {
        public_url,
        default_tenant,
    } = registry;
    let public_url = match public_url {
        Some(url) => url.clone(),
        None => Url::parse(&format!("http://{}", http.address)).context("not an address")?,
    };
    Ok(director_gateway::Config {
        database: database.url(),
        schedulers,
        public_url,
        default_tenant: default_tenant.0,
    })
}

fn start_gateway(mesh: &mut Mesh, config: director_gateway::Config, http: Bound, director: Bound) {
    mesh.addresses.push(("gateway", http.address));
    mesh.addresses.push(("director", director.address));
    let listeners = director_gateway::Listeners {
        http: http.listener,
        grpc: director.listener,
    };
    mesh.start("gateway", STOP_GATEWAY, |context| {
        Box::pin(director_gateway::run(config, listeners, context))
    });
}

fn start_scheduler(mesh: &mut Mesh, database: &DatabaseArgs, bound: Bound) {
    mesh.addresses.push(("scheduler", bound.address));
    let config = scheduler_svc::Config::new(database.url());
    mesh.start("scheduler", STOP_SCHEDULER, |context| {
        Box::pin(scheduler_svc::run(config, bound.listener, context))
    });
}

fn start_operations(mesh: &mut Mesh, config: operations_svc::Config, bound: Bound) {
    mesh.addresses.push(("operations", bound.address));
    mesh.start("operations", STOP_WORKER, |context| {
        Box::pin(operations_svc::run(config, bound.listener, context))
    });
}

fn start_executor(mesh: &mut Mesh, calls: &CallArgs, bound: Bound) {
    mesh.addresses.push(("executor", bound.address));
    let config = webhook_executor::Config {
        capacity: calls.executor_capacity,
        exchange_timeout: calls.exchange_timeout,
    };
    mesh.start("executor", STOP_EXECUTOR, |context| {
        Box::pin(webhook_executor::run(config, bound.listener, context))
    });
}

/// Runs `mesh` until a signal stops it or a role fails; says in `ready_file` when it is ready.
async fn serve(mut mesh: Mesh, ready_file: Option<&Path>) -> anyhow::Result<()> {
    let stop = Shutdown::new();
    stop.on_signals().context("cannot handle signals")?;
    let result = run(&mut mesh, &stop, ready_file).await;
    let stopped = mesh.stop().await;
    result.and(stopped)
}

async fn run(mesh: &mut Mesh, stop: &Shutdown, ready_file: Option<&Path>) -> anyhow::Result<()> {
    if let Some(file) = ready_file {
        listen::withdraw(file)?;
    }
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        ready = mesh.ready() => ready?,
    }
    for (role, address) in &mesh.addresses {
        tracing::info!(role, %address, "ready");
    }
    if let Some(gateway) = mesh.address("gateway") {
        tracing::info!("GraphiQL is at http://{gateway}/graphiql");
    }
    if let Some(file) = ready_file {
        listen::announce(file, &mesh.addresses)?;
    }
    mesh.run_until(stop).await
}
