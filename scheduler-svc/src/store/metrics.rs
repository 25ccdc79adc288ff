//! What the writer measures of itself.

use prometheus::{Histogram, HistogramOpts, Registry, exponential_buckets};

/// What the writer measures of itself.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    pub(super) commit_seconds: Histogram,
    pub(super) batch_size: Histogram,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "scheduler_commit_seconds",
                "Time from the begin to the end of a transaction of the writer.",
            )
            .buckets(exponential_buckets(0.000_25, 2.0, 14)?),
        )?;
        let batch_size = Histogram::with_opts(
            HistogramOpts::new(
                "scheduler_commit_items",
                "Writes that one transaction carried.",
            )
            .buckets(exponential_buckets(1.0, 2.0, 10)?),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        registry.register(Box::new(batch_size.clone()))?;
        Ok(Self {
            commit_seconds,
            batch_size,
        })
    }
}
