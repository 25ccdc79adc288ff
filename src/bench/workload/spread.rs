//! W7 and W9, which need PostgreSQL: W1 with the roles as processes of their own, and beside a
//! transaction that keeps an old snapshot.

use anyhow::Context as _;

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::report::Better;
use super::super::stage::{Layout, Plan, Stage};

/// How much longer W9 is measured than other rows.
const LONGER: u32 = 6;

/// W1 with two processes of each role.
pub(super) async fn replicas(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W7: Workload = Workload::W7;
    let mut plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let together = bench.undisturbed(&stage, (W7, bench.unpairs())).await?;
    stage.end().await?;
    plan.layout = Layout::Replicated(2);
    let stage = Stage::set_up(bench.site, &plan).await?;
    let job = bench.job(bench.unpairs(), bench.settings.clients, Shape::Closed);
    let apart = bench
        .row(&stage, (W7, "two processes of each role"), job)
        .await?;
    let by_role: Vec<String> = apart
        .costs
        .cpu_us
        .iter()
        .map(|(role, micros)| format!("{role} {micros:.0} µs"))
        .collect();
    bench.remark(format!(
        "W7: processor time per operation by role: {}",
        by_role.join(", ")
    ));
    let ratio = apart.all.completed_per_s / together.all.completed_per_s;
    let what = ("completed/s ÷ all in one process".to_owned(), "x");
    bench.find(W7, what, ratio, (Some((0.6, 0.8)), Better::Higher));
    stage.end().await
}

/// W1 beside a transaction that has read and then does nothing.
pub(super) async fn held_snapshot(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W9: Workload = Workload::W9;
    let plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let database = stage.database.as_ref().context("W9 needs PostgreSQL")?;
    let mut holder = database.connect().await?;
    for statement in [
        "BEGIN ISOLATION LEVEL REPEATABLE READ",
        "SELECT count(*) FROM pg_class",
    ] {
        let held = sqlx::query(statement).execute(&mut holder).await;
        held.context("cannot hold a snapshot")?;
    }
    let mut job = bench.job(bench.unpairs(), bench.settings.clients, Shape::Closed);
    job.length *= LONGER;
    let figures = bench
        .row(&stage, (W9, "beside an idle transaction"), job)
        .await?;
    let still_there = sqlx::query("SELECT 1").execute(&mut holder).await;
    still_there.context("the idle transaction did not last")?;
    if let Some((first, last)) = figures.windows.first().zip(figures.windows.last()) {
        let what = ("completed/s, last tenth ÷ first".to_owned(), "x");
        bench.find(W9, what, last / first, (Some((0.85, 0.98)), Better::Higher));
    }
    drop(holder);
    stage.end().await
}
