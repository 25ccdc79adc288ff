//! `binnacle demo`: an asynchronous operation from the call to its end, on real processes' parts:
//! all roles over gRPC on loopback, and an external system over HTTP.

mod graphql;
mod system;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use binnacle_boot::Shutdown;
use binnacle_boot::grpc::Peers;
use graphql::Gateway;
use system::System;
use uuid::Uuid;

use crate::cli::UpArgs;
use crate::mesh::Mesh;
use crate::operations::client::{Changes, Client};
use crate::operations::view::{AttemptView, OperationView};
use crate::operations::{is_not_found, say, status_line, timeline};
use crate::role;

/// How long the demo waits for what takes a moment on a machine that is not overloaded.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the scheduler is asked for an operation that is on its way to it.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Runs the demo; with `keep`, leaves everything running until a signal comes.
pub(crate) async fn run(keep: bool) -> anyhow::Result<()> {
    let stop = Shutdown::new();
    stop.on_signals().context("cannot handle signals")?;
    let directory = tempfile::Builder::new()
        .prefix("binnacle-demo-")
        .tempdir()
        .context("cannot make a temporary directory")?;
    let mut mesh = Box::pin(role::start_all(UpArgs::scratch(directory.path()))).await?;
    let system = System::start(&stop).await?;
    let shown = tokio::select! {
        shown = Box::pin(show(&mut mesh, &system, directory.path(), keep)) => shown,
        () = stop.cancelled() => Ok(()),
    };
    let kept = match shown {
        Ok(()) if keep => mesh.run_until(&stop).await,
        other => other,
    };
    stop.trigger();
    let stopped = mesh.stop().await;
    kept.and(stopped)
}

async fn show(
    mesh: &mut Mesh,
    system: &System,
    directory: &Path,
    keep: bool,
) -> anyhow::Result<()> {
    let started = Instant::now();
    tokio::time::timeout(PATIENCE, mesh.ready())
        .await
        .map_err(|_| anyhow!("not ready within {} s", PATIENCE.as_secs()))??;
    say(&format!(
        "Started gateway, scheduler, operations and executor on {} in {} ms.\n",
        directory.display(),
        started.elapsed().as_millis()
    ))?;
    let address = |name| {
        mesh.address(name)
            .ok_or_else(|| anyhow!("{name} has no address"))
    };
    let (gateway, scheduler) = (address("gateway")?, address("scheduler")?);
    let client = Gateway::new(gateway)?;
    tokio::time::timeout(PATIENCE, story(&client, scheduler, system))
        .await
        .map_err(|_| anyhow!("the operation has not ended after {} s", PATIENCE.as_secs()))??;
    if keep {
        invite(gateway, scheduler)
    } else {
        Ok(())
    }
}

async fn story(client: &Gateway, scheduler: SocketAddr, system: &System) -> anyhow::Result<()> {
    say("1. Register an application whose webhook calls an external system when it is removed.")?;
    let application = client.register("demo-shop", &system.webhook()).await?;
    say(&format!(
        "   application {application}\n   external system at {}\n",
        system.address()
    ))?;

    say("2. Unregister it with mode: ASYNC. The external system will need three seconds.")?;
    let asked = Instant::now();
    let accepted = client.unregister_async(&application).await?;
    say(&format!(
        "   answered in {} ms, poll {}",
        asked.elapsed().as_millis(),
        accepted.location
    ))?;
    say(&format!("   operation {}\n", accepted.operation))?;

    say("3. What the scheduler records, as it happens:")?;
    let mut scheduler = Client::new(&Peers::from(scheduler));
    let operation = follow(&mut scheduler, accepted.operation).await?;
    let polled = client.poll(&accepted.location).await?;
    say(&format!("\n   The poll URL now says {polled}."))?;
    if client.exists(&application).await? {
        bail!("the application is still in the registry");
    }
    say("   The application has gone from the registry.\n")?;

    say("4. What happened:\n")?;
    let attempts = scheduler.attempts(accepted.operation).await?;
    let attempts: Vec<_> = attempts.iter().map(AttemptView::from).collect();
    say(&timeline(&operation, &attempts))?;
    match operation.status.error {
        None => Ok(()),
        Some(error) => bail!("the operation failed: {error}"),
    }
}

/// Shows every change of the operation until it has ended.
async fn follow(scheduler: &mut Client, id: Uuid) -> anyhow::Result<OperationView> {
    let mut changes = watch(scheduler, id).await?;
    let mut last = String::new();
    let mut end = None;
    while let Some(operations) = changes.next().await? {
        for operation in operations {
            let view = OperationView::from(&operation);
            let line = status_line(&view, false);
            if line != last {
                say(&format!("   {line}"))?;
                last = line;
            }
            end = Some(view);
        }
    }
    end.context("the scheduler said nothing about the operation")
}

/// The gateway answers as soon as the operation is durable on its side, so the scheduler may hear
/// of it a moment later than the caller.
async fn watch(scheduler: &mut Client, id: Uuid) -> anyhow::Result<Changes> {
    loop {
        match scheduler.watch(Some(id)).await {
            Err(error) if is_not_found(&error) => tokio::time::sleep(ASK_AGAIN).await,
            other => return other,
        }
    }
}

fn invite(gateway: SocketAddr, scheduler: SocketAddr) -> anyhow::Result<()> {
    say(&format!(
        r#"
Everything keeps running until you press Ctrl-C. Try:

  GraphiQL    http://{gateway}/graphiql
  GraphQL     curl -s http://{gateway}/graphql -H 'content-type: application/json' -d '{{"query":"{{ applications {{ data {{ id name }} }} }}"}}'
  gRPC        grpcurl -plaintext {scheduler} list
  operations  binnacle operations list --scheduler-addr {scheduler}
  metrics     curl -s http://{gateway}/metrics"#
    ))
}
