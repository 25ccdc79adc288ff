//! A thread with a runtime of its own. What talks to itself on it wakes no other thread, so that
//! the clients take as little as possible of the processors that they share with the mesh.

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The thread. It ends when this is dropped, and what runs on it with it.
pub(super) struct Lane {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl Lane {
    pub(super) fn start(name: &str) -> anyhow::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start a runtime")?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let work = move || {
            // An error says that the other end was dropped, which is how it ends.
            let _ = runtime.block_on(stopped);
        };
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(work);
        thread.context("cannot start a thread")?;
        Ok(Self {
            handle,
            _stop: stop,
        })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs something there, and waits for it here.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    ) -> anyhow::Result<T> {
        let done = self.handle.spawn(work).await;
        done.context("a thread of the benchmark has ended")?
    }
}
