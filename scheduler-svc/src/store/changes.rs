//! Which operations have changed, for those who watch.
//!
//! What this replica writes is told in memory. Replicas on one PostgreSQL tell one another, but only while somebody
//! watches somewhere: whoever has watchers says so twice a second, and hears of changes for two seconds after that.
//! Telling has a connection of its own, since a notification inside the writer's transactions would make
//! PostgreSQL commit them one after the other.

mod exchange;
mod progress;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use binnacle_boot::Shutdown;
use sqlx::PgPool;
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::RecvError},
    },
    time::sleep,
};
use uuid::Uuid;

pub(super) use self::progress::ProgressRow;
pub(crate) use self::progress::{Changed, Latest, Phase, Progress};
use self::{exchange::Exchange, progress::Outcomes};
use super::{Answer, Write};

/// Batches of changes that a slow watcher may be behind.
const BEHIND: usize = 4096;
/// How long to wait before listening again after the connection broke.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Change {
    operations: Arc<[Changed]>,
    /// Written by another replica.
    is_foreign: bool,
}

/// Which operations have changed. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Changes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sender: broadcast::Sender<Change>,
    watchers: AtomicUsize,
    first_watcher: Notify,
    outcomes: Mutex<Outcomes>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            sender: broadcast::Sender::new(BEHIND),
            watchers: AtomicUsize::new(0),
            first_watcher: Notify::new(),
            outcomes: Mutex::default(),
        }))
    }

    /// Tells what a batch has changed here, once it is committed.
    pub(super) fn announce(&self, items: &[Write], answers: &[Answer]) {
        if self.0.sender.receiver_count() == 0 {
            return;
        }
        let outcomes = self.0.outcomes.lock();
        let mut outcomes = outcomes.unwrap_or_else(PoisonError::into_inner);
        let changed: Arc<[Changed]> = items
            .iter()
            .zip(answers)
            .filter_map(|(item, answer)| outcomes.changed(item, answer))
            .collect();
        if !changed.is_empty() {
            self.tell(changed, false);
        }
    }

    fn tell(&self, operations: Arc<[Changed]>, is_foreign: bool) {
        // Whoever has stopped watching misses nothing.
        let _ = self.0.sender.send(Change {
            operations,
            is_foreign,
        });
    }

    /// Watches from now on.
    pub(crate) fn watch(&self) -> Watch {
        let receiver = self.0.sender.subscribe();
        if self.0.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.0.first_watcher.notify_one();
        }
        Watch {
            changes: self.clone(),
            receiver,
        }
    }

    /// Exchanges changes with the other replicas until the shutdown.
    pub(super) async fn exchange(self, pool: PgPool, replica: Uuid, shutdown: Shutdown) {
        let exchanging = async {
            loop {
                let Err(error) = Exchange::new(&self, &pool, replica).run().await else {
                    continue;
                };
                tracing::debug!(%error, "other replicas cannot be heard");
                sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = exchanging => {}
        }
    }
}

/// Somebody who watches.
#[derive(Debug)]
pub(crate) struct Watch {
    changes: Changes,
    receiver: broadcast::Receiver<Change>,
}

impl Watch {
    /// What has changed; `None` when more has changed than could be kept.
    pub(crate) async fn next(&mut self) -> Option<Arc<[Changed]>> {
        match self.receiver.recv().await {
            Ok(change) => Some(change.operations),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    }

    /// What has changed already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<[Changed]>> {
        self.receiver
            .try_recv()
            .ok()
            .map(|change| change.operations)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changes.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Done, Saved};

    #[tokio::test]
    async fn a_watcher_that_is_too_far_behind_is_told_so() {
        let changes = Changes::new();
        let mut watch = changes.watch();
        let done = Write::Done(Done {
            id: binnacle_domain::operation::OperationId(Uuid::max()),
            epoch: 1,
            outcome: None,
        });
        let announce = |times| {
            for _ in 0..times {
                changes.announce(std::slice::from_ref(&done), &[Answer::Saved(Saved::At(1))]);
            }
        };
        announce(BEHIND);
        assert!(watch.next().await.is_some());
        announce(BEHIND);
        assert!(watch.next().await.is_none());
    }
}
