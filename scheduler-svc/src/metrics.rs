//! What the service counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What the service counts. Clones share the counters.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    /// Operations that entered a phase.
    phases: IntCounterVec,
    /// Operations granted to workers.
    pub(crate) grants: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let phases = IntCounterVec::new(
            Opts::new(
                "scheduler_operations_total",
                "Operations that entered a phase: in_progress, finalizing, done.",
            ),
            &["phase"],
        )?;
        let grants = IntCounter::new("scheduler_grants_total", "Operations granted to workers.")?;
        registry.register(Box::new(phases.clone()))?;
        registry.register(Box::new(grants.clone()))?;
        Ok(Self { phases, grants })
    }

    pub(crate) fn recorded(&self) {
        self.phases.with_label_values(&["in_progress"]).inc();
    }

    pub(crate) fn concluded(&self) {
        self.phases.with_label_values(&["finalizing"]).inc();
    }

    pub(crate) fn done(&self) {
        self.phases.with_label_values(&["done"]).inc();
    }
}
