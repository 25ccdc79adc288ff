//! What is counted.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

const SECONDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

pub(crate) struct Metrics {
    /// Exchanges by what came of them.
    pub(crate) exchanges: IntCounterVec,
    /// Calls taken and not yet answered.
    pub(crate) calls: IntGauge,
    /// How long exchanges took, the wait for room included.
    pub(crate) seconds: Histogram,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            exchanges: IntCounterVec::new(
                Opts::new(
                    "webhook_executor_exchanges_total",
                    "HTTP exchanges by what came of them",
                ),
                &["result"],
            )?,
            calls: IntGauge::new(
                "webhook_executor_calls",
                "Calls that are under way or wait for room",
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "webhook_executor_exchange_seconds",
                    "How long exchanges took, the wait for room included",
                )
                .buckets(SECONDS.to_vec()),
            )?,
        };
        registry.register(Box::new(metrics.exchanges.clone()))?;
        registry.register(Box::new(metrics.calls.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }
}
