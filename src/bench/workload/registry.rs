//! R1 to R4: the registry by itself, without operations.

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::request::{Kind, Requests};
use super::super::stage::{Plan, Stage};
use super::label;

/// Applications in a full tenant.
const FULL: u64 = 100_000;
/// Applications of which pages are read.
const PAGED: u64 = 1_000;
const LABELS: u64 = 2;

/// R1: registrations with distinct names, in an empty tenant and in a full one.
pub(super) async fn register(bench: &Bench<'_>) -> anyhow::Result<()> {
    for (name, count) in [(label::EMPTY, 0), (label::FULL, FULL)] {
        let plan = Plan {
            count,
            ..Plan::default()
        };
        run(bench, (Workload::R1, name), (Kind::Register, &plan)).await?;
    }
    Ok(())
}

/// R2: one application with its webhooks.
pub(super) async fn find(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    run(bench, (Workload::R2, label::CLOSED), (Kind::Find, &plan)).await
}

/// R3: a hundred of a thousand applications, with labels and webhooks.
pub(super) async fn page(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan {
        count: PAGED,
        labels: LABELS,
        ..Plan::default()
    };
    run(bench, (Workload::R3, label::CLOSED), (Kind::Page, &plan)).await
}

/// R4: registered and removed again.
pub(super) async fn pair(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan::default();
    run(bench, (Workload::R4, label::CLOSED), (Kind::Pair, &plan)).await
}

async fn run(
    bench: &Bench<'_>,
    row: (Workload, &str),
    (kind, plan): (Kind, &Plan<'_>),
) -> anyhow::Result<()> {
    let stage = Stage::set_up(bench.site, plan).await?;
    let requests = Requests::new(kind, plan.count.max(1));
    let job = bench.job(requests, bench.settings.clients, Shape::Closed);
    bench.row(&stage, row, job).await?;
    stage.end().await
}
