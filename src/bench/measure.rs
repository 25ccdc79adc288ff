//! One row of the table: clients at work on a stage for a while, and what that took.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use serde::Serialize;
use tokio::task::JoinSet;

use super::driver::{self, Shape, Shared};
use super::progress::Progress;
use super::request::Requests;
use super::stage::Stage;
use super::tracker::{Seen, Tracker, Window, watch};
use super::usage::{Costs, as_f64, costs};

/// A watch stream per so many clients.
const CLIENTS_PER_STREAM: usize = 64;
const TICK: Duration = Duration::from_millis(500);
/// How long an operation that a client waits for may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long what is on its way may take after the end.
const AFTERMATH: Duration = Duration::from_mins(1);

/// What clients are to do.
pub(super) struct Job {
    pub(super) requests: Requests,
    pub(super) clients: usize,
    pub(super) shape: Shape,
    pub(super) warm_up: Duration,
    pub(super) length: Duration,
    /// The classes of applications, and which is whose.
    pub(super) classes: &'static [&'static str],
    pub(super) classify: fn(u64) -> usize,
    /// Also measure how long it takes until the external system is called.
    pub(super) looking_out: bool,
    /// Whether what is accepted in the row also ends in it, so that its costs are those of whole
    /// operations.
    pub(super) whole: bool,
    /// Whether the row is over only when everything has ended.
    pub(super) to_the_end: bool,
}

/// Milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    pub(super) count: u64,
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| as_f64(histogram.value_at_quantile(quantile)) / 1000.0;
        Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: as_f64(histogram.max()) / 1000.0,
            count: histogram.len(),
        }
    }
}

/// What one class of applications has seen.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) accepted_per_s: f64,
    pub(super) completed_per_s: f64,
    /// From sending until the answer.
    pub(super) accept: Latency,
    /// From sending until the operation has durably ended.
    pub(super) end: Latency,
}

/// A measured row.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Figures {
    pub(super) clients: usize,
    /// Requests per second that were asked for, in open loop.
    pub(super) rate: Option<f64>,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) all: Class,
    /// By class, where there is more than one.
    pub(super) classes: Vec<Class>,
    /// From sending until the external system was called.
    pub(super) receipt: Option<Latency>,
    /// Operations that ended badly.
    pub(super) failed: u64,
    /// Requests that were answered with an error, and the first of them.
    pub(super) refused: u64,
    pub(super) first_refusal: Option<String>,
    pub(super) costs: Costs,
    /// Completions in each tenth of the time, per second.
    pub(super) windows: Vec<f64>,
}

/// Runs the clients and measures.
pub(super) async fn run(
    stage: &Stage,
    job: Job,
    (label, progress): (&str, &Progress),
) -> anyhow::Result<Figures> {
    let (clients, shape, classes) = (job.clients, job.shape, job.classes);
    let to_the_end = job.to_the_end;
    let from = Instant::now() + job.warm_up;
    let window = Window {
        from,
        to: from + job.length,
    };
    let tracker = Arc::new(Tracker::new(window, classes.len()));
    let is_operation = job.requests.kind.is_operation();
    let lane = &stage.external.lane;
    let mut streams = JoinSet::new();
    if is_operation {
        for scheduler in stage.cluster.addresses("scheduler") {
            for _ in 0..clients.div_ceil(CLIENTS_PER_STREAM) {
                let stream = lane.run(watch(scheduler, tracker.clone())).await?;
                streams.spawn_on(stream, lane.handle());
            }
        }
    }
    let mut shared = Shared::new(job.requests, tracker.clone(), job.classify);
    if job.looking_out {
        shared = shared.looking_out(stage.external.log.clone());
    }
    let shared = Arc::new(shared);
    let gateways = stage.cluster.addresses("gateway");
    let working = driver::start((lane, &gateways), &shared, (clients, shape), window.to).await?;
    let mut run = Run {
        stage,
        tracker: &tracker,
        streams,
        working,
        is_operation,
    };
    run.until(window.from, label, progress).await?;
    let before = stage.meter.snapshot(&stage.cluster).await?;
    let windows = run.watch_windows(window, (label, progress)).await?;
    let after = stage.meter.snapshot(&stage.cluster).await?;
    run.finish(to_the_end).await?;
    let seen = tracker.take();
    let operations: u64 = if is_operation {
        seen.completed.iter().sum()
    } else {
        seen.accepted.iter().sum()
    };
    let mut figures = figures(&seen, classes, job.length);
    figures.clients = clients;
    figures.rate = match shape {
        Shape::Open(rate) => Some(rate),
        Shape::Closed | Shape::Backlog(_) => None,
    };
    if job.whole && operations > 0 {
        figures.costs = costs(&before, &after, operations);
    }
    figures.refused = shared.refused.load(Ordering::Relaxed);
    figures.first_refusal = shared.first_refusal();
    figures.receipt = job.looking_out.then(|| Latency::of(&shared.receipts()));
    figures.windows = windows;
    Ok(figures)
}

/// Clients at work.
struct Run<'a> {
    stage: &'a Stage,
    tracker: &'a Tracker,
    streams: JoinSet<anyhow::Result<()>>,
    working: JoinSet<anyhow::Result<()>>,
    is_operation: bool,
}

impl Run<'_> {
    /// Shows how it goes on until `end`; fails when something breaks before.
    async fn until(
        &mut self,
        end: Instant,
        label: &str,
        progress: &Progress,
    ) -> anyhow::Result<()> {
        let mut last = (Instant::now(), self.tracker.total());
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let pause = tokio::time::sleep(TICK.min(end - now));
            tokio::select! {
                () = pause => {}
                Some(ended) = self.streams.join_next() => ended.context("a stream panicked")??,
                Some(ended) = self.working.join_next() => ended.context("a client panicked")??,
            }
            self.check()?;
            let total = self.tracker.total();
            let elapsed = last.0.elapsed();
            if elapsed < TICK {
                continue;
            }
            if self.is_operation {
                let rate = as_f64(total - last.1) / elapsed.as_secs_f64();
                let waiting = self.tracker.in_progress();
                progress.tick(&format!(
                    "{label}: {rate:.0} completed/s, {waiting} on their way"
                ));
            } else {
                progress.tick(label);
            }
            last = (Instant::now(), total);
        }
    }

    /// Completions per second in each tenth of the time.
    async fn watch_windows(
        &mut self,
        window: Window,
        (label, progress): (&str, &Progress),
    ) -> anyhow::Result<Vec<f64>> {
        const PARTS: u32 = 10;
        let part = (window.to - window.from) / PARTS;
        let mut rates = Vec::new();
        let mut last = (Instant::now(), self.tracker.total());
        for number in 1..=PARTS {
            self.until(window.from + part * number, label, progress)
                .await?;
            let total = self.tracker.total();
            let elapsed = last.0.elapsed().as_secs_f64();
            rates.push(as_f64(total - last.1) / elapsed.max(f64::MIN_POSITIVE));
            last = (Instant::now(), total);
        }
        Ok(rates)
    }

    /// Waits until the clients have gone home and, if asked to, until no operation is left.
    async fn finish(&mut self, to_the_end: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + AFTERMATH;
        loop {
            tokio::select! {
                ended = self.working.join_next() => match ended {
                    Some(ended) => ended.context("a client panicked")??,
                    None => break,
                },
                Some(ended) = self.streams.join_next() => ended.context("a stream panicked")??,
                () = tokio::time::sleep(TICK) => self.check()?,
            }
        }
        while to_the_end && self.tracker.in_progress() > 0 {
            if Instant::now() > deadline {
                let left = self.tracker.in_progress();
                bail!(
                    "{left} operations have not ended {} s after the last was accepted",
                    AFTERMATH.as_secs()
                );
            }
            self.check()?;
            tokio::time::sleep(TICK / 50).await;
        }
        Ok(())
    }

    /// Fails when there is no point in going on.
    fn check(&self) -> anyhow::Result<()> {
        self.stage.cluster.check()?;
        match self.tracker.overdue(PATIENCE) {
            Some(id) => bail!(
                "operation {id} has not ended after {} s",
                PATIENCE.as_secs()
            ),
            None => Ok(()),
        }
    }
}

fn figures(seen: &Seen, classes: &[&'static str], length: Duration) -> Figures {
    let seconds = length.as_secs_f64();
    let rate = |count: u64| as_f64(count) / seconds;
    let merged = |histograms: &[Histogram<u64>]| {
        let mut all = super::tracker::histogram();
        for histogram in histograms {
            all += histogram;
        }
        Latency::of(&all)
    };
    let class = |(n, name): (usize, &&'static str)| Class {
        name,
        accepted_per_s: rate(seen.accepted[n]),
        completed_per_s: rate(seen.completed[n]),
        accept: Latency::of(&seen.accepts[n]),
        end: Latency::of(&seen.ends[n]),
    };
    Figures {
        seconds,
        all: Class {
            name: "",
            accepted_per_s: rate(seen.accepted.iter().sum()),
            completed_per_s: rate(seen.completed.iter().sum()),
            accept: merged(&seen.accepts),
            end: merged(&seen.ends),
        },
        classes: if classes.len() > 1 {
            classes.iter().enumerate().map(class).collect()
        } else {
            Vec::new()
        },
        failed: seen.failed,
        ..Figures::default()
    }
}
