//! What the database itself can do in the same minute, on the same disk: figures of a run are
//! ratios of these.

mod postgres;
mod sqlite;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::stage::Site;
use super::tracker::histogram;
use super::usage::as_f64;

/// By how much the floors before and after a run may differ.
const TOLERANCE: f64 = 0.2;

/// The floors of a database.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Floors {
    /// Rows inserted per second by one client, each with a commit of its own.
    pub(super) single: f64,
    /// Milliseconds of such a commit: the median and the 99th percentile.
    pub(super) single_p50_ms: f64,
    pub(super) single_p99_ms: f64,
    /// Operations per second with three commits each: insert and mark the resource, claim one,
    /// finish it and the resource. PostgreSQL only, as are the others.
    pub(super) naive: Option<f64>,
    /// With two: inserted as claimed already.
    pub(super) fused: Option<f64>,
    /// With two commits per hundred operations.
    pub(super) batched: Option<f64>,
}

impl Floors {
    /// What completed operations are measured by.
    pub(super) fn base(&self) -> f64 {
        self.naive.unwrap_or(self.single)
    }

    /// By how much two measurements differ, in the figure that differs most.
    pub(super) fn difference(&self, other: &Self) -> f64 {
        let pairs = [
            (Some(self.single), Some(other.single)),
            (self.naive, other.naive),
            (self.fused, other.fused),
            (self.batched, other.batched),
        ];
        pairs
            .into_iter()
            .filter_map(|(one, other)| one.zip(other))
            .map(|(one, other)| (one - other).abs() / one.max(other).max(f64::MIN_POSITIVE))
            .fold(0.0, f64::max)
    }

    /// Whether two measurements are alike enough for what was measured between them to count.
    pub(super) fn agree(&self, other: &Self) -> bool {
        self.difference(other) <= TOLERANCE
    }

    /// The middle of two measurements.
    pub(super) fn mean(&self, other: &Self) -> Self {
        let mean = |one: f64, other: f64| f64::midpoint(one, other);
        let both = |one: Option<f64>, other: Option<f64>| {
            one.zip(other).map(|(one, other)| mean(one, other))
        };
        Self {
            single: mean(self.single, other.single),
            single_p50_ms: mean(self.single_p50_ms, other.single_p50_ms),
            single_p99_ms: mean(self.single_p99_ms, other.single_p99_ms),
            naive: both(self.naive, other.naive),
            fused: both(self.fused, other.fused),
            batched: both(self.batched, other.batched),
        }
    }
}

/// Measures the floors, each for `length`.
pub(super) async fn measure(site: &Site, length: Duration) -> anyhow::Result<Floors> {
    match site {
        Site::Sqlite(_) => sqlite::measure(site, length).await,
        Site::Postgres(_, server) => postgres::measure(server, length).await,
    }
}

/// Counts what is done in a time.
struct Count {
    from: Instant,
    to: Instant,
    done: u64,
    times: Histogram<u64>,
}

impl Count {
    /// The first fifth is for warming up.
    fn new(length: Duration) -> Self {
        let now = Instant::now();
        Self {
            from: now + length / 5,
            to: now + length + length / 5,
            done: 0,
            times: histogram(),
        }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.to
    }

    fn done(&mut self, since: Instant, rows: u64) {
        let now = Instant::now();
        if since >= self.from && now < self.to {
            self.done += rows;
            let micros = u64::try_from((now - since).as_micros()).unwrap_or(u64::MAX);
            self.times.saturating_record(micros);
        }
    }

    fn per_second(&self) -> f64 {
        as_f64(self.done) / (self.to - self.from).as_secs_f64()
    }

    fn millis(&self, quantile: f64) -> f64 {
        as_f64(self.times.value_at_quantile(quantile)) / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floors(single: f64, naive: f64) -> Floors {
        Floors {
            single,
            single_p50_ms: 0.2,
            single_p99_ms: 0.4,
            naive: Some(naive),
            fused: None,
            batched: None,
        }
    }

    #[test]
    fn a_run_counts_when_all_its_floors_agree() {
        assert!(floors(100.0, 50.0).agree(&floors(90.0, 45.0)));
        assert!(!floors(100.0, 50.0).agree(&floors(95.0, 39.0)));
    }
}
