//! What every service is handed besides its own configuration and listeners.

use prometheus::Registry;

use crate::Shutdown;
use crate::health::Readiness;

/// What a service shares with the process it runs in.
///
/// A service is a function `run(config, listeners, context)`. It opens what it needs, registers
/// its checks with [`Readiness::require`], says [`Readiness::started`], serves, and returns when
/// `shutdown` has been triggered and it has let go of what it holds; tasks that may go on for a
/// moment are spawned on `shutdown`. An error ends the process.
#[derive(Clone)]
pub struct Context {
    pub shutdown: Shutdown,
    pub readiness: Readiness,
    /// Where the service registers its metrics, all of whose names start with the service's.
    pub metrics: Registry,
}

impl Context {
    pub fn new() -> Self {
        Self::with_metrics(Registry::new())
    }

    /// A context for another service in the same process: it starts and stops on its own, and
    /// shares the page of metrics.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::with_metrics(self.metrics.clone())
    }

    fn with_metrics(metrics: Registry) -> Self {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(&shutdown);
        Self {
            shutdown,
            readiness,
            metrics,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}
