//! What is counted.

use std::future::{Ready, ready};

use binnacle_domain::operation::AttemptResult;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

#[derive(Clone)]
pub(crate) struct Metrics {
    /// Attempts by what came of them.
    attempts: IntCounterVec,
    /// Finalizations by the registry's answer.
    pub(crate) finalizations: IntCounterVec,
    /// Saves that were refused: somebody else drives the operation.
    pub(crate) stale: IntCounter,
    /// Operations held.
    pub(crate) held: IntGauge,
    /// Calls under way.
    pub(crate) calls: IntGauge,
    /// Schedulers that it works for.
    pub(crate) schedulers: IntGauge,
    /// Executors that it calls through.
    pub(crate) executors: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str| {
            let counters = IntCounterVec::new(Opts::new(name, help), &["result"])?;
            registry.register(Box::new(counters.clone()))?;
            Ok::<_, prometheus::Error>(counters)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let stale = IntCounter::new(
            "operations_svc_stale_total",
            "Saves that were refused because the operation is no longer the worker's",
        )?;
        registry.register(Box::new(stale.clone()))?;
        Ok(Self {
            attempts: counters(
                "operations_svc_attempts_total",
                "Calls and polls by what came of them",
            )?,
            finalizations: counters(
                "operations_svc_finalizations_total",
                "Outcomes handed to the registry by its answer",
            )?,
            stale,
            held: gauge("operations_svc_operations_held", "Operations held")?,
            calls: gauge("operations_svc_calls", "Calls under way at executors")?,
            schedulers: gauge("operations_svc_schedulers", "Schedulers that it works for")?,
            executors: gauge(
                "operations_svc_executors",
                "Executors that it calls through",
            )?,
        })
    }

    pub(crate) fn attempt(&self, result: AttemptResult) {
        let result = match result {
            AttemptResult::Succeeded => "succeeded",
            AttemptResult::Accepted => "accepted",
            AttemptResult::InProgress => "in_progress",
            AttemptResult::Failed => "failed",
            AttemptResult::Gone => "gone",
            AttemptResult::Retried => "retried",
            AttemptResult::Unknown => "unknown",
        };
        self.attempts.with_label_values(&[result]).inc();
    }

    /// A check that passes while `gauge` is not zero.
    #[expect(clippy::unused_self, reason = "reads as a question to what is counted")]
    pub(crate) fn at_least_one(
        &self,
        gauge: &IntGauge,
    ) -> impl Fn() -> Ready<Result<(), &'static str>> + Send + Sync + 'static {
        let gauge = gauge.clone();
        move || {
            ready(if gauge.get() > 0 {
                Ok(())
            } else {
                Err("none is connected")
            })
        }
    }
}
