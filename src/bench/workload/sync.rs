//! W1: operations whose webhook answers at once.

use std::time::Duration;

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::request::{Kind, Requests};
use super::super::stage::{Plan, Stage};
use super::{half, label};

const W1: Workload = Workload::W1;
/// Operations that may be on their way when only acceptance is measured.
const BACKLOG: usize = 20_000;
/// Connections for open loop: more than can be busy before the mesh has fallen behind for good.
const OPEN_CONNECTIONS: usize = 256;
/// A rate that is missed by more than this is no rate of ours.
const FALLEN_BEHIND: f64 = 0.95;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let clients = bench.settings.clients;
    let closed = bench.job(bench.unpairs(), clients, Shape::Closed);
    let name = clients_label(clients);
    let saturated = bench.row(&stage, (W1, &name), closed).await?;
    if !bench.settings.quick && clients == 64 {
        let job = bench.job(bench.unpairs(), 256, Shape::Closed);
        bench.row(&stage, (W1, label::CLOSED_256), job).await?;
    }
    alone(bench, &stage).await?;
    let most = saturated.all.completed_per_s;
    if let Some(rate) = bench.settings.rate {
        open(bench, &stage, (&format!("open, {rate}/s"), rate)).await?;
    } else {
        let all: &[f64] = &[0.1, 0.25, 0.5, 0.8];
        let shares = if bench.settings.quick {
            &all[2..3]
        } else {
            all
        };
        for share in shares {
            let name = format!("open, {:.0} %", share * 100.0);
            open(bench, &stage, (&name, most * share)).await?;
        }
    }
    acceptance(bench, &stage, clients).await?;
    if !bench.settings.quick {
        unregister(bench, &stage, clients).await?;
    }
    stage.end().await
}

fn clients_label(clients: usize) -> String {
    if clients == 1 {
        return "one client".to_owned();
    }
    format!("{clients} clients")
}

/// One client with nobody beside it, and how long it takes until its webhook is called.
async fn alone(bench: &Bench<'_>, stage: &Stage) -> anyhow::Result<()> {
    let mut job = bench.job(bench.unpairs(), 1, Shape::Closed);
    job.looking_out = true;
    job.warm_up = Duration::from_millis(300);
    job.length = half(job.length);
    bench.row(stage, (W1, label::ALONE), job).await?;
    Ok(())
}

async fn open(bench: &Bench<'_>, stage: &Stage, (name, rate): (&str, f64)) -> anyhow::Result<()> {
    let rate = rate.max(1.0);
    let job = bench.job(bench.unpairs(), OPEN_CONNECTIONS, Shape::Open(rate));
    let figures = bench.row(stage, (W1, name), job).await?;
    let reached = figures.all.accepted_per_s;
    if reached < rate * FALLEN_BEHIND {
        bench.remark(format!(
            "W1, {name}: {rate:.0}/s were asked for and {reached:.0}/s were reached: more is not \
             possible here, and the latencies have a queue in them"
        ));
    }
    Ok(())
}

/// How fast operations are accepted when nobody waits for their end.
async fn acceptance(bench: &Bench<'_>, stage: &Stage, clients: usize) -> anyhow::Result<()> {
    let mut job = bench.job(bench.unpairs(), clients, Shape::Backlog(BACKLOG));
    job.whole = false;
    job.warm_up = Duration::from_millis(500);
    job.length = half(job.length);
    bench.row(stage, (W1, "acceptance alone"), job).await?;
    Ok(())
}

/// The same for operations that remove their application: each one once.
async fn unregister(bench: &Bench<'_>, stage: &Stage, clients: usize) -> anyhow::Result<()> {
    let requests = Requests::new(Kind::Unregister, bench.settings.applications);
    let mut job = bench.job(requests, clients, Shape::Closed);
    job.warm_up = Duration::from_secs(1);
    job.length = half(job.length);
    bench.row(stage, (W1, "unregister"), job).await?;
    Ok(())
}
