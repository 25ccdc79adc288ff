//! What is counted at the door.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

const SECONDS: [f64; 11] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// The door's metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
}

impl Metrics {
    /// Registers them, which goes once per registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = Opts::new(
            "gateway_graphql_requests_total",
            "GraphQL requests by operation (query, mutation; none: not known) and result \
             (ok; failed: with errors of fields; refused: not executed)",
        );
        let seconds = HistogramOpts::new(
            "gateway_graphql_request_seconds",
            "How long executed GraphQL requests took, from the parsed body to the answer",
        );
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["operation", "result"])?,
            seconds: HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["operation"])?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }

    pub(super) fn executed(&self, operation: &str, has_errors: bool, time: Duration) {
        let result = if has_errors { "failed" } else { "ok" };
        self.requests.with_label_values(&[operation, result]).inc();
        let seconds = self.seconds.with_label_values(&[operation]);
        seconds.observe(time.as_secs_f64());
    }

    pub(super) fn refused(&self, operation: &str) {
        let counter = self.requests.with_label_values(&[operation, "refused"]);
        counter.inc();
    }
}
