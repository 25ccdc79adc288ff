//! Which operations have changed, for those who watch.
//!
//! What this replica writes is told in memory. Replicas on one PostgreSQL tell one another, but only while somebody
//! watches somewhere: whoever has watchers says so twice a second, and hears of changes for two seconds after that.
//! Telling has a connection of its own, since a notification inside the writer's transactions would make
//! PostgreSQL commit them one after the other.

mod exchange;
mod progress;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use binnacle_boot::Shutdown;
use binnacle_domain::operation::OperationId;
use sqlx::PgPool;
use tokio::{
    sync::{
        Notify,
        broadcast::{
            self,
            error::{RecvError, TryRecvError},
        },
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

/// What watchers are told.
#[derive(Clone, Debug)]
enum Change {
    /// Written by this replica.
    Here(Arc<[Changed]>),
    /// Written by another.
    There(Arc<[Changed]>),
    /// Of others' changes some were not heard.
    Missed,
}

/// Which operations have changed. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Changes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    sender: broadcast::Sender<Change>,
    /// Whom to wake when one operation changes.
    of_one: Mutex<HashMap<OperationId, Vec<Arc<Notify>>>>,
    watchers: AtomicUsize,
    first_watcher: Notify,
    outcomes: Mutex<Outcomes>,
}

impl Shared {
    fn of_one(&self) -> MutexGuard<'_, HashMap<OperationId, Vec<Arc<Notify>>>> {
        self.of_one.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            sender: broadcast::Sender::new(BEHIND),
            of_one: Mutex::default(),
            watchers: AtomicUsize::new(0),
            first_watcher: Notify::new(),
            outcomes: Mutex::default(),
        }))
    }

    /// Tells what a batch has changed here, once it is committed.
    pub(super) fn announce(&self, items: &[Write], answers: &[Answer]) {
        if self.0.sender.receiver_count() == 0 && self.0.of_one().is_empty() {
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
            self.wake(&changed);
            self.tell(Change::Here(changed));
        }
    }

    /// Tells what another replica has changed.
    fn relay(&self, changed: Arc<[Changed]>) {
        self.wake(&changed);
        self.tell(Change::There(changed));
    }

    /// Wakes those who watch one of these.
    fn wake(&self, changed: &[Changed]) {
        let of_one = self.0.of_one();
        if !of_one.is_empty() {
            let told = changed.iter().filter_map(|it| of_one.get(&it.id));
            told.flatten().for_each(|watcher| watcher.notify_one());
        }
    }

    fn tell(&self, change: Change) {
        // Whoever has stopped watching misses nothing.
        let _ = self.0.sender.send(change);
    }

    /// Watches from now on.
    pub(crate) fn watch(&self) -> Watch {
        Watch {
            receiver: self.0.sender.subscribe(),
            _presence: Presence::new(self),
        }
    }

    /// Watches one operation from now on, at no cost when others change.
    pub(crate) fn watch_one(&self, id: OperationId) -> WatchOne {
        let told = Arc::new(Notify::new());
        let watcher = Arc::clone(&told);
        self.0.of_one().entry(id).or_default().push(watcher);
        WatchOne {
            id,
            told,
            presence: Presence::new(self),
        }
    }

    /// Exchanges changes with the other replicas until the shutdown.
    pub(super) async fn exchange(self, pool: PgPool, replica: Uuid, shutdown: Shutdown) {
        let exchanging = async {
            let mut exchange = Exchange::new(&self, &pool, replica);
            loop {
                let Err(error) = exchange.run().await;
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

/// Counts somebody who watches.
#[derive(Debug)]
struct Presence(Changes);

impl Presence {
    fn new(changes: &Changes) -> Self {
        if changes.0.watchers.fetch_add(1, Ordering::Relaxed) == 0 {
            changes.0.first_watcher.notify_one();
        }
        Self(changes.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody who watches all operations.
#[derive(Debug)]
pub(crate) struct Watch {
    receiver: broadcast::Receiver<Change>,
    _presence: Presence,
}

/// More has changed than a watcher can be told: more than could be kept for it, or something that another replica could
/// not be heard to say. It is said once; what comes next would hide that something is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behind;

impl Watch {
    /// What has changed.
    pub(crate) async fn next(&mut self) -> Result<Arc<[Changed]>, Behind> {
        match self.receiver.recv().await {
            Ok(change) => change.into_operations(),
            Err(RecvError::Lagged(_) | RecvError::Closed) => Err(Behind),
        }
    }

    /// What has changed already.
    pub(crate) fn try_next(&mut self) -> Result<Option<Arc<[Changed]>>, Behind> {
        match self.receiver.try_recv() {
            Ok(change) => change.into_operations().map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => Err(Behind),
        }
    }
}

impl Change {
    fn into_operations(self) -> Result<Arc<[Changed]>, Behind> {
        match self {
            Self::Here(operations) | Self::There(operations) => Ok(operations),
            Self::Missed => Err(Behind),
        }
    }
}

/// Somebody who watches one operation.
#[derive(Debug)]
pub(crate) struct WatchOne {
    id: OperationId,
    told: Arc<Notify>,
    presence: Presence,
}

impl WatchOne {
    /// Completes when the operation has changed since the last time that this did.
    pub(crate) async fn changed(&self) {
        self.told.notified().await;
    }
}

impl Drop for WatchOne {
    fn drop(&mut self) {
        let mut of_one = self.presence.0.0.of_one();
        if let Some(watchers) = of_one.get_mut(&self.id) {
            watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.told));
            if watchers.is_empty() {
                of_one.remove(&self.id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::store::{Done, Saved};

    pub(super) fn announce(changes: &Changes, id: OperationId) {
        let done = Write::Done(Done {
            id,
            epoch: 1,
            outcome: None,
        });
        changes.announce(&[done], &[Answer::Saved(Saved::At(1))]);
    }

    #[tokio::test]
    async fn a_watcher_that_is_too_far_behind_is_told_so() {
        let changes = Changes::new();
        let mut watch = changes.watch();
        let announce =
            |times| (0..times).for_each(|_| announce(&changes, OperationId(Uuid::max())));
        announce(BEHIND);
        assert!(watch.next().await.is_ok());
        announce(BEHIND);
        assert_eq!(watch.next().await.err(), Some(Behind));
        announce(BEHIND + 1);
        assert_eq!(watch.try_next().err(), Some(Behind));
    }

    #[tokio::test]
    async fn who_watches_one_operation_is_woken_by_that_one_alone() {
        let changes = Changes::new();
        let [id, other] = [1, 2].map(|n| OperationId(Uuid::from_u128(n)));
        let watchers = [changes.watch_one(id), changes.watch_one(id)];
        let are_woken = || {
            watchers
                .iter()
                .map(|watcher| watcher.changed().now_or_never().is_some())
                .collect::<Vec<_>>()
        };
        announce(&changes, other);
        assert_eq!(are_woken(), [false, false]);
        announce(&changes, id);
        assert_eq!(are_woken(), [true, true]);
        assert_eq!(are_woken(), [false, false]);
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_watcher_that_has_gone() {
        let changes = Changes::new();
        let id = OperationId(Uuid::max());
        let (first, second) = (changes.watch_one(id), changes.watch_one(id));
        drop(first);
        announce(&changes, id);
        assert!(second.changed().now_or_never().is_some());
        drop(second);
        assert!(changes.0.of_one().is_empty());
        assert_eq!(changes.0.watchers.load(Ordering::Relaxed), 0);
    }
}
