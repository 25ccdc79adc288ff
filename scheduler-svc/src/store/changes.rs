//! Which operations have changed, for those who watch.
//!
//! What this replica writes is told in memory. Replicas on one PostgreSQL tell one another, but only while somebody
//! watches somewhere: whoever has watchers says so twice a second, and hears of changes for two seconds after that.
//! Telling has a connection of its own, since a notification inside the writer's transactions would make
//! PostgreSQL commit them one after the other.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use binnacle_boot::Shutdown;
use binnacle_domain::operation::OperationId;
use futures::StreamExt;
use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::RecvError},
    },
    time::{Instant, sleep, sleep_until},
};
use uuid::Uuid;

const CHANNEL: &str = "binnacle_scheduler";
/// Batches of changes that a slow watcher may be behind.
const BEHIND: usize = 4096;
/// How often a replica with watchers says so, and how long it is told of changes after that.
const ASK: Duration = Duration::from_millis(500);
const ASKED: Duration = Duration::from_secs(2);
/// How long changes gather before they are told.
const GATHER: Duration = Duration::from_millis(50);
/// Ids of one notification, which may have 8000 bytes.
const IDS: usize = 200;
/// How long to wait before listening again after the connection broke.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
struct Change {
    ids: Arc<[OperationId]>,
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
}

impl Changes {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            sender: broadcast::Sender::new(BEHIND),
            watchers: AtomicUsize::new(0),
            first_watcher: Notify::new(),
        }))
    }

    /// Whether anybody wants to know.
    pub(super) fn are_watched(&self) -> bool {
        self.0.sender.receiver_count() > 0
    }

    /// Tells that operations were written here.
    pub(super) fn announce(&self, ids: Arc<[OperationId]>) {
        self.tell(ids, false);
    }

    fn tell(&self, ids: Arc<[OperationId]>, is_foreign: bool) {
        // Whoever has stopped watching misses nothing.
        let _ = self.0.sender.send(Change { ids, is_foreign });
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
    pub(crate) async fn next(&mut self) -> Option<Arc<[OperationId]>> {
        match self.receiver.recv().await {
            Ok(change) => Some(change.ids),
            Err(RecvError::Lagged(_) | RecvError::Closed) => None,
        }
    }

    /// What has changed already.
    pub(crate) fn try_next(&mut self) -> Option<Arc<[OperationId]>> {
        self.receiver.try_recv().ok().map(|change| change.ids)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changes.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One connection's worth of hearing and telling.
struct Exchange<'a> {
    changes: &'a Changes,
    pool: &'a PgPool,
    replica: Uuid,
    /// Until when others want to know, and what is written here since they do.
    asked: Option<(Instant, broadcast::Receiver<Change>)>,
    gathered: BTreeSet<OperationId>,
    tell_at: Option<Instant>,
}

impl<'a> Exchange<'a> {
    fn new(changes: &'a Changes, pool: &'a PgPool, replica: Uuid) -> Self {
        Self {
            changes,
            pool,
            replica,
            asked: None,
            gathered: BTreeSet::new(),
            tell_at: None,
        }
    }

    async fn run(mut self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(self.pool).await?;
        listener.listen(CHANNEL).await?;
        let mut heard = pin!(listener.into_stream());
        let mut ask = tokio::time::interval(ASK);
        loop {
            let tell_at = self.tell_at;
            tokio::select! {
                notification = heard.next() => match notification {
                    Some(notification) => self.hear(notification?.payload()),
                    None => return Ok(()),
                },
                _ = ask.tick() => self.ask().await?,
                () = self.changes.0.first_watcher.notified() => self.ask().await?,
                change = next(&mut self.asked) => self.gather(change),
                () = until(tell_at) => self.tell().await?,
            }
        }
    }

    fn hear(&mut self, payload: &str) {
        let mut words = payload.split(' ');
        if words.next() == Some(self.replica.simple().to_string().as_str()) {
            return;
        }
        let ids: Arc<[OperationId]> = words.filter_map(|word| word.parse().ok()).collect();
        if ids.is_empty() {
            let receiver = match self.asked.take() {
                Some((_, receiver)) => receiver,
                None => self.changes.0.sender.subscribe(),
            };
            self.asked = Some((Instant::now() + ASKED, receiver));
        } else {
            self.changes.tell(ids, true);
        }
    }

    /// Asks others to tell, if somebody watches here.
    async fn ask(&mut self) -> Result<(), sqlx::Error> {
        let is_over = |(until, _): &mut (Instant, _)| *until <= Instant::now();
        self.asked.take_if(is_over);
        if self.changes.0.watchers.load(Ordering::Relaxed) > 0 {
            self.notify(&[]).await?;
        }
        Ok(())
    }

    fn gather(&mut self, change: Result<Change, RecvError>) {
        let Ok(change) = change else {
            return;
        };
        if !change.is_foreign {
            self.gathered.extend(change.ids.iter());
            self.tell_at.get_or_insert_with(|| Instant::now() + GATHER);
        }
    }

    async fn tell(&mut self) -> Result<(), sqlx::Error> {
        self.tell_at = None;
        let ids: Vec<OperationId> = std::mem::take(&mut self.gathered).into_iter().collect();
        for chunk in ids.chunks(IDS) {
            self.notify(chunk).await?;
        }
        Ok(())
    }

    /// Who speaks, and the ids of what has changed; none: a question.
    async fn notify(&self, ids: &[OperationId]) -> Result<(), sqlx::Error> {
        let mut payload = self.replica.simple().to_string();
        for id in ids {
            payload.push(' ');
            payload.push_str(&id.0.simple().to_string());
        }
        let query = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL);
        query.bind(payload).execute(self.pool).await.map(drop)
    }
}

async fn next(
    asked: &mut Option<(Instant, broadcast::Receiver<Change>)>,
) -> Result<Change, RecvError> {
    match asked {
        Some((_, receiver)) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
