//! W3 and W4: W1 while there is a pile of operations that wait, or of finished ones. One operation
//! goes through the door; the pile is made of copies of its rows.

use std::time::Duration;

use anyhow::{Context as _, bail};
use uuid::Uuid;

use super::super::Bench;
use super::super::args::Workload;
use super::super::copy::{Column, Copies, Value, copy};
use super::super::driver::Shape;
use super::super::external::Behaviour;
use super::super::http::Connection;
use super::super::measure::Figures;
use super::super::report::Better;
use super::super::request::{self, Kind, Requests};
use super::super::stage::{Plan, Stage};
use super::super::usage::as_f64;

/// What the ids of copies start with.
const OPERATION: &str = "01980000-0000-7000-b000-";
const RESOURCE: &str = "01980000-0000-7000-b111-";
/// How long the first operation may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(20);
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// Seconds between polls of those that wait.
const AN_HOUR: u32 = 3_600;

const ID: Column = Column("id", Value::Id(OPERATION));
const OPERATION_ID: Column = Column("operation_id", Value::Id(OPERATION));
const NOT_SOON: Column = Column("send_at", Value::Later);
const SOMETHING: Column = Column("resource_id", Value::Id(RESOURCE));

/// W1 while operations wait for a poll that is an hour away.
pub(super) async fn waiting(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W3: Workload = Workload::W3;
    let plan = Plan {
        count: bench.settings.applications,
        behaviours: &[
            Some(Behaviour::AtOnce),
            Some(Behaviour::Polled(u64::from(u32::MAX))),
        ],
        retry_interval: AN_HOUR,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let at_once = || bench.unpairs().in_groups(2, &[0]);
    let empty = bench.undisturbed(&stage, (W3, at_once())).await?;
    let first = begin(bench, &stage, bench.unpairs().in_groups(2, &[1])).await?;
    rest(&stage, ("scheduler", "operation", "holder"), first).await?;
    let tables = [
        ("scheduler", "operation", "id", vec![ID, SOMETHING]),
        (
            "director",
            "outbox",
            "operation_id",
            vec![OPERATION_ID, SOMETHING, NOT_SOON],
        ),
    ];
    let mut there = 0;
    for count in &bench.settings.waiting {
        let name = format!("{count} wait");
        bench
            .progress
            .begin(&format!("  making {count} operations that wait"));
        pile_up(&stage, (&tables, first), there..*count).await?;
        there = *count;
        let job = bench.job(at_once(), bench.settings.clients, Shape::Closed);
        let with = bench.row(&stage, (W3, &name), job).await?;
        compare(bench, (W3, &name), (&empty, &with), Some((0.85, 0.95)));
        let grown = as_f64(with.costs.resident_bytes) - as_f64(empty.costs.resident_bytes);
        let what = (format!("{name}: resident memory each"), "B");
        let each = grown / as_f64(*count);
        bench.find(W3, what, each, (None, Better::Lower));
    }
    stage.end().await
}

/// W1 on top of finished operations.
pub(super) async fn finished(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W4: Workload = Workload::W4;
    const MANY: u64 = 5_000_000;
    let plan = Plan {
        count: bench.settings.applications,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let empty = bench.undisturbed(&stage, (W4, bench.unpairs())).await?;
    let first = begin(bench, &stage, bench.unpairs()).await?;
    rest(&stage, ("scheduler", "operation_done", "id"), first).await?;
    let owner = Column(
        "resource_id",
        Value::Application(bench.settings.applications),
    );
    let tables = [
        ("scheduler", "operation_done", "id", vec![ID, owner]),
        ("scheduler", "attempt", "operation_id", vec![OPERATION_ID]),
        (
            "director",
            "receipt",
            "operation_id",
            vec![OPERATION_ID, owner, Column("seq", Value::Omitted)],
        ),
    ];
    let mut there = 0;
    for count in &bench.settings.finished {
        let name = format!("{count} finished");
        bench
            .progress
            .begin(&format!("  making {count} finished operations"));
        pile_up(&stage, (&tables, first), there..*count).await?;
        there = *count;
        let mut job = bench.job(bench.unpairs(), bench.settings.clients, Shape::Closed);
        job.warm_up = job.warm_up.max(lap(bench, &empty));
        let with = bench.row(&stage, (W4, &name), job).await?;
        let bounds = if *count > MANY {
            (0.85, 0.95)
        } else {
            (0.9, 0.98)
        };
        compare(bench, (W4, &name), (&empty, &with), Some(bounds));
    }
    stage.end().await
}

/// Long enough to come to each application once, at half the rate of an empty database. History lies by resource too,
/// and what was made at once lies on the disk, where what has grown has been read again and again.
fn lap(bench: &Bench<'_>, empty: &Figures) -> Duration {
    let per_s = empty.all.completed_per_s.max(1.0) / 2.0;
    Duration::from_secs_f64(as_f64(bench.settings.applications) / per_s)
}

fn compare(
    bench: &Bench<'_>,
    (workload, name): (Workload, &str),
    (empty, with): (&Figures, &Figures),
    bounds: Option<(f64, f64)>,
) {
    let ratio = with.all.completed_per_s / empty.all.completed_per_s;
    let what = (format!("{name}: completed/s ÷ without"), "x");
    bench.find(workload, what, ratio, (bounds, Better::Higher));
}

/// Starts one operation, and gives its id.
async fn begin(bench: &Bench<'_>, stage: &Stage, requests: Requests) -> anyhow::Result<Uuid> {
    let gateways = stage.cluster.addresses("gateway");
    let gateway = gateways.first().context("there is no gateway")?;
    let mut buffer = Vec::new();
    let mut connection = Connection::open(*gateway).await?;
    // One that no client is likely to come to next.
    for _ in 0..bench.settings.applications / 3 {
        requests.fill(&mut buffer);
    }
    debug_assert_eq!(requests.kind, Kind::Unpair);
    requests.fill(&mut buffer).context("no application")?;
    let answer = connection.exchange(&buffer).await?;
    request::operation(answer.body)
}

/// Waits until the operation's row is there and nobody holds it.
async fn rest(
    stage: &Stage,
    (schema, table, column): (&str, &str, &str),
    id: Uuid,
) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut connection = stage.connect(schema).await?;
    while tokio::time::Instant::now() < deadline {
        let value = connection.uuid((schema, table, column), id).await?;
        if value.is_some_and(|value| column == "id" || value.is_nil()) {
            return Ok(());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    bail!("the operation that was to be copied has not come to rest")
}

type Table = (&'static str, &'static str, &'static str, Vec<Column>);

async fn pile_up(
    stage: &Stage,
    (tables, first): (&[Table], Uuid),
    numbers: std::ops::Range<u64>,
) -> anyhow::Result<()> {
    for (schema, table, key, columns) in tables {
        let mut connection = stage.connect(schema).await?;
        let copies = Copies {
            schema,
            table,
            key,
            columns,
            numbers: numbers.clone(),
        };
        copy(&mut connection, &copies, first).await?;
        connection.writer().settle().await?;
    }
    Ok(())
}
