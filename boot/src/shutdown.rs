//! Stopping: one signal for all, a tracker that knows what still runs, and a limit.
//!
//! A process has one [`Shutdown`], handed to every service. Work is started with
//! [`Shutdown::spawn`], notices [`Shutdown::cancelled`] and comes to an end by itself;
//! [`Shutdown::drain`] waits for it, and drops what has not ended when the limit is reached.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a process may take to stop, from the signal to its exit.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The signal to stop and the tasks that have to end. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    abort: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it ends. [`Shutdown::drain`] waits for it, and drops it at the limit.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_on(&Handle::current(), task)
    }

    /// Like [`Shutdown::spawn`], on another runtime than the caller's.
    pub fn spawn_on<F>(&self, runtime: &Handle, task: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let abort = self.abort.clone();
        let task = async move {
            tokio::select! {
                () = abort.cancelled() => {}
                () = task => {}
            }
        };
        self.tasks.spawn_on(task, runtime)
    }

    /// Asks everything to come to an end.
    pub fn trigger(&self) {
        self.stop.cancel();
    }

    /// Completes when the end has been asked for.
    pub async fn cancelled(&self) {
        self.stop.cancelled().await;
    }

    /// As [`Shutdown::cancelled`], borrowing nothing.
    pub fn cancelled_owned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.stop.clone().cancelled_owned()
    }

    pub fn is_cancelled(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// A token that is cancelled together with this one, for libraries that take one, and that
    /// may be cancelled on its own without stopping anything else.
    pub fn token(&self) -> CancellationToken {
        self.stop.child_token()
    }

    /// Waits until every task has ended; after `limit` drops those that have not, and says
    /// `false`. Triggers the shutdown when nobody has yet.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.trigger();
        self.tasks.close();
        let drained = tokio::time::timeout(limit, self.tasks.wait()).await.is_ok();
        if !drained {
            tracing::warn!(
                tasks = self.tasks.len(),
                "dropping what has not ended in time"
            );
            self.abort.cancel();
        }
        drained
    }

    /// Triggers on Ctrl-C and SIGTERM from now on. A second one ends the process at once: whoever
    /// sends it does not want to wait.
    ///
    /// # Errors
    /// When the process may not handle signals.
    pub fn on_signals(&self) -> std::io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = self.stop.clone();
        let listen = async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => "SIGINT",
                    _ = terminate.recv() => "SIGTERM",
                }
            };
            let signal = next().await;
            tracing::info!(signal, "stopping; once more ends at once");
            stop.cancel();
            let signal = next().await;
            tracing::warn!(signal, "ending at once");
            std::process::exit(1);
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "listens as long as the process lives, and nobody waits for it"
        )]
        tokio::spawn(listen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn draining_waits_for_tasks_that_end_by_themselves() {
        let shutdown = Shutdown::new();
        let noticed = shutdown.cancelled_owned();
        shutdown.spawn(noticed);
        assert!(shutdown.drain(Duration::from_secs(5)).await);
        assert!(shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_never_ends_is_dropped_at_the_limit() {
        let shutdown = Shutdown::new();
        let task = shutdown.spawn(pending());
        assert!(!shutdown.drain(Duration::from_millis(10)).await);
        task.await.unwrap();
    }
}
