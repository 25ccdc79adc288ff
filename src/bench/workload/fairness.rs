//! W5 and W6: who suffers when somebody asks for too much, or when an external system is bad.

use uuid::Uuid;

use super::super::Bench;
use super::super::args::Workload;
use super::super::driver::Shape;
use super::super::external::Behaviour;
use super::super::measure::Job;
use super::super::report::Better;
use super::super::request::{Kind, Requests};
use super::super::stage::{Plan, SYSTEMS, Stage};
use super::super::usage::as_f64;

const TENANTS: u64 = 10;
/// What one tenant sends of the others' rate.
const HOT: usize = 10;
/// The share of what is possible that is asked for while no tenant sends more than the others.
const LOAD: f64 = 0.3;
/// The share of what is possible that is asked for of all systems.
const LOAD_OF_ALL: f64 = 0.5;
const CONNECTIONS: usize = 256;

/// Systems whose operations are looked at; they are well all the time.
const HEALTHY: u64 = 6;
/// Systems that go bad.
const BAD: u64 = 4;
/// The healthy ones, then those that go bad: as they are before, and as they are then.
const BEHAVIOURS: [Option<Behaviour>; SYSTEMS] = [
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::AtOnce),
    Some(Behaviour::Stalled),
    Some(Behaviour::Late(5_000)),
    None,
    Some(Behaviour::Failing),
];

/// Class 1 is what is special: the tenant that sends too much, or a system that goes bad.
const BY_TENANT: Classes = (&["the others", "the one"], is_hot);
const BY_SYSTEM: Classes = (&["the six", "the four"], is_bad);

fn is_hot(number: u64) -> usize {
    usize::from(number.is_multiple_of(TENANTS))
}

fn is_bad(number: u64) -> usize {
    usize::from(number % (SYSTEMS as u64) >= HEALTHY)
}

/// Names of classes, and which is whose.
type Classes = (&'static [&'static str], fn(u64) -> usize);

fn open(bench: &Bench<'_>, requests: Requests, rate: f64, (classes, classify): Classes) -> Job {
    let mut job = bench.job(requests, CONNECTIONS, Shape::Open(rate));
    job.classes = classes;
    job.classify = classify;
    job
}

/// One of ten tenants sends ten times what each of the others does.
pub(super) async fn hot_tenant(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W5: Workload = Workload::W5;
    let tenants: Vec<Uuid> = (1..=TENANTS)
        .map(|n| Uuid::from_u128(0x0198_0000_0000_7000_9999_0000_0000_0000 | u128::from(n)))
        .collect();
    let plan = Plan {
        count: bench.settings.applications,
        tenants: &tenants,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let senders: Vec<_> = tenants.iter().copied().map(Some).collect();
    let requests = || Requests::of_tenants(Kind::Unpair, bench.settings.applications, &senders);
    let alike: Vec<u64> = (0..TENANTS).collect();
    let all = requests().in_groups(TENANTS, &alike);
    let most = bench
        .undisturbed(&stage, (W5, all))
        .await?
        .all
        .completed_per_s;
    let rate = most * LOAD;
    let all = requests().in_groups(TENANTS, &alike);
    let job = open(bench, all, rate, BY_TENANT);
    let before = bench.row(&stage, (W5, "all tenants alike"), job).await?;
    let mut pattern = vec![0; HOT];
    for (number, tenant) in (1..TENANTS).enumerate() {
        pattern.insert(number * 2 + 1, tenant);
    }
    let turns = as_f64(u64::try_from(pattern.len())?);
    let rate = rate / as_f64(TENANTS) * turns;
    let job = open(
        bench,
        requests().in_groups(TENANTS, &pattern),
        rate,
        BY_TENANT,
    );
    let after = bench
        .row(&stage, (W5, "one sends ten times as much"), job)
        .await?;
    if let Some((before, after)) = before.classes.first().zip(after.classes.first()) {
        let what = ("the others' p99 until done ÷ before".to_owned(), "x");
        let ratio = after.end.p99 / before.end.p99;
        bench.find(W5, what, ratio, (Some((3.0, 1.5)), Better::Lower));
    }
    stage.end().await
}

/// Ten systems are well; then one of them never answers, one takes five seconds, one refuses and one fails.
pub(super) async fn bad_systems(bench: &Bench<'_>) -> anyhow::Result<()> {
    const W6: Workload = Workload::W6;
    let plan = Plan {
        count: bench.settings.applications,
        behaviours: &BEHAVIOURS,
        ..Plan::default()
    };
    let stage = Stage::set_up(bench.site, &plan).await?;
    let groups = u64::try_from(SYSTEMS)?;
    let all_well: Vec<u64> = (0..HEALTHY + BAD).collect();
    let unpairs = |systems: &[u64]| bench.unpairs().in_groups(groups, systems);
    let most = bench.undisturbed(&stage, (W6, unpairs(&all_well))).await?;
    let rate = most.all.completed_per_s * LOAD_OF_ALL;
    let job = open(bench, unpairs(&all_well), rate, BY_SYSTEM);
    let before = bench.row(&stage, (W6, "ten healthy systems"), job).await?;
    let four_bad: Vec<u64> = (0..HEALTHY).chain(HEALTHY + BAD..groups).collect();
    let mut job = open(bench, unpairs(&four_bad), rate, BY_SYSTEM);
    job.to_the_end = false;
    job.length *= 2;
    let after = bench.row(&stage, (W6, "four of them bad"), job).await?;
    if let Some((before, after)) = before.classes.first().zip(after.classes.first()) {
        let what = ("healthy systems' completed/s ÷ before".to_owned(), "x");
        let ratio = after.completed_per_s / before.completed_per_s;
        bench.find(W6, what, ratio, (Some((0.9, 0.98)), Better::Higher));
        let what = ("healthy systems' p99 until done ÷ before".to_owned(), "x");
        let ratio = after.end.p99 / before.end.p99;
        bench.find(W6, what, ratio, (Some((2.0, 1.2)), Better::Lower));
    }
    stage.end().await
}
