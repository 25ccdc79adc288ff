//! Threads for work that no client waits for.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own, with as many threads as the one that answers, so that neither waits in the other's queues and
/// both get their part of a busy machine. What runs on it is aborted when this is dropped.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// # Errors
    ///
    /// When the system refuses threads.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("background")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // To wait for the threads is forbidden in a runtime, where this usually is.
            runtime.shutdown_background();
        }
    }
}
