//! W2: operations whose webhook answers 202 and is polled until it is done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::external::Behaviour;
use super::super::report::Better;
use super::super::stage::{Plan, Stage};
use super::super::usage::{Costs, as_f64, costs};

const W2: Workload = Workload::W2;
/// Polls that say that it is not done yet.
const POLLS: u64 = 3;
/// Operations that may be on their way: each takes seconds, most of which it waits. So few keep their leases.
const KEPT: usize = 256;
/// Of so many most give their leases back.
const RELEASED: usize = 4_000;
/// How often rows of an operation are updated besides, for the answers to its polls that say that it is not done
/// yet: the answer to the call, the outcome, and the ledger's row of the polls when they are over.
const OTHER_UPDATES: f64 = 3.0;
/// A connection of PostgreSQL that has nothing to do tells after 10 s what it has done.
const COUNTED: Duration = Duration::from_secs(11);
/// Applications of each kind take turns.
const AT_ONCE: u64 = 0;
const POLLED: u64 = 1;
const KINDS: u64 = 2;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan {
        count: bench.settings.applications,
        behaviours: &[Some(Behaviour::AtOnce), Some(Behaviour::Polled(POLLS))],
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let at_once = bench.unpairs().in_groups(KINDS, &[AT_ONCE]);
    bench.undisturbed(&stage, (W2, at_once)).await?;
    polled(bench, &stage, ("3 polls, lease kept", KEPT, 1.0)).await?;
    let released = ("3 polls, lease released", RELEASED, 2.0);
    let costs = polled(bench, &stage, released).await?;
    if let Some(commits) = costs.commits {
        let what = ("commits per operation".to_owned(), "");
        bench.find(W2, what, commits, (None, Better::Lower));
    }
    stage.end().await
}

/// Measures a row with so many on their way, whose polls may cost so many row updates.
async fn polled(
    bench: &Bench<'_>,
    stage: &Stage,
    (label, backlog, updates): (&str, usize, f64),
) -> anyhow::Result<Costs> {
    let requests = bench.unpairs().in_groups(KINDS, &[POLLED]);
    let mut job = bench.job(requests, bench.settings.clients, Shape::Backlog(backlog));
    job.warm_up = Duration::from_secs(8);
    let log = &stage.external.log;
    let polls_before = log.polls.load(Ordering::Relaxed);
    tokio::time::sleep(COUNTED).await;
    let before = stage.meter.snapshot(&stage.cluster).await?;
    let figures = bench.row(stage, (W2, label), job).await?;
    tokio::time::sleep(COUNTED).await;
    let after = stage.meter.snapshot(&stage.cluster).await?;
    let polls = log.polls.load(Ordering::Relaxed) - polls_before;
    bench.remark(format!(
        "W2, {label}: the external system was polled {polls} times"
    ));
    let whole = costs(&before, &after, polls / (POLLS + 1));
    if let Some(updates_of_all) = whole.row_updates {
        let each = (updates_of_all - OTHER_UPDATES) / as_f64(POLLS);
        let what = (format!("row updates per poll, {label}"), "");
        bench.find(W2, what, each, (Some((updates, updates)), Better::Lower));
    }
    Ok(figures.costs)
}
