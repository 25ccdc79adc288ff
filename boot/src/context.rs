//! What every service is handed besides its own configuration and listeners.

use std::net::SocketAddr;

use prometheus::Registry;

use crate::Shutdown;
use crate::grpc::InProcess;
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
    /// The roles of this process that are reached without a network.
    pub in_process: InProcess,
}

impl Context {
    pub fn new() -> Self {
        Self::sharing(Registry::new(), InProcess::default())
    }

    /// A context for the first service of a process whose roles call one another at `addresses`.
    pub fn serving(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self::sharing(Registry::new(), InProcess::new(addresses))
    }

    /// A context for another service in the same process: it starts and stops on its own, and
    /// shares the page of metrics and the way to the other roles.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self::sharing(self.metrics.clone(), self.in_process.clone())
    }

    fn sharing(metrics: Registry, in_process: InProcess) -> Self {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(&shutdown);
        Self {
            shutdown,
            readiness,
            metrics,
            in_process,
        }
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}
