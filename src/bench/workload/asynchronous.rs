//! W2: operations whose webhook answers 202 and is polled until it is done.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::external::Behaviour;
use super::super::report::Better;
use super::super::stage::{Plan, Stage};
use super::super::usage::as_f64;

const W2: Workload = Workload::W2;
/// Polls that say that it is not done yet.
const POLLS: u64 = 3;
/// Operations that may be on their way: each takes seconds, most of which it waits.
const BACKLOG: usize = 4_000;
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
    let without = bench.undisturbed(&stage, (W2, at_once)).await?;
    let polled = bench.unpairs().in_groups(KINDS, &[POLLED]);
    let mut job = bench.job(polled, bench.settings.clients, Shape::Backlog(BACKLOG));
    job.warm_up = Duration::from_secs(8);
    let polls_before = stage.external.log.polls.load(Ordering::Relaxed);
    let with = bench.row(&stage, (W2, "3 polls"), job).await?;
    let polls = stage.external.log.polls.load(Ordering::Relaxed) - polls_before;
    bench.remark(format!("W2: the external system was polled {polls} times"));
    if let Some((with, without)) = with.costs.row_updates.zip(without.costs.row_updates) {
        // The answer to the call is written as well.
        let each = (with - without) / as_f64(POLLS + 1);
        let what = ("row updates per poll, beyond W1's".to_owned(), "");
        bench.find(W2, what, each, (Some((2.0, 1.0)), Better::Lower));
    }
    if let Some(commits) = with.costs.commits {
        let what = ("commits per operation".to_owned(), "");
        bench.find(W2, what, commits, (None, Better::Lower));
    }
    stage.end().await
}
