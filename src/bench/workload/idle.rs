//! W10: what it costs to be there.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::Bench;
use super::super::args::Workload;
use super::super::report::Better;
use super::super::stage::{Plan, Stage};
use super::super::usage::as_f64;

const W10: Workload = Workload::W10;
/// From the start until the first minute's bustle is over.
const SETTLING: Duration = Duration::from_secs(5);
/// How much longer than other rows nothing is watched.
const LONGER: u32 = 3;
const MEGABYTE: f64 = 1e6;
const MEBIBYTE: f64 = 1_048_576.0;

pub(super) async fn run(bench: &Bench<'_>) -> anyhow::Result<()> {
    let plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let member = stage.cluster.members.first().context("nothing runs")?;
    let ready = member.ready_after.as_secs_f64();
    tokio::time::sleep(SETTLING).await;
    let before = stage.meter.snapshot(&stage.cluster).await?;
    let since = Instant::now();
    let length = bench.settings.length() * LONGER;
    while since.elapsed() < length {
        let left = length.saturating_sub(since.elapsed());
        bench
            .progress
            .tick(&format!("W10: {} s left", left.as_secs()));
        tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        stage.cluster.check()?;
    }
    let after = stage.meter.snapshot(&stage.cluster).await?;
    let seconds = since.elapsed().as_secs_f64();
    let find = |what: &str, unit, value, bounds| {
        bench.find(
            W10,
            (what.to_owned(), unit),
            value,
            (Some(bounds), Better::Lower),
        );
    };
    find("ready after", "s", ready, (0.3, 0.15));
    let resident = as_f64(after.resident()) / MEBIBYTE;
    find("resident memory", "MiB", resident, (60.0, 30.0));
    let cpu = after.mesh_cpu_since(&before).as_secs_f64() / seconds * 100.0;
    find("of one processor", "%", cpu, (0.5, 0.1));
    let statements = before.database.statements.zip(after.database.statements);
    if let Some((before, after)) = statements {
        let rate = as_f64(after.saturating_sub(before)) / seconds;
        find("statements", "/s", rate, (2.0, 1.0));
    }
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let size = program
        .metadata()
        .context("this program has no size")?
        .len();
    find(
        "size of the program",
        "MB",
        as_f64(size) / MEGABYTE,
        (60.0, 35.0),
    );
    stage.end().await
}
