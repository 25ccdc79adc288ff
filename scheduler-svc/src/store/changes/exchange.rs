//! What replicas on one PostgreSQL tell one another.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{TryStreamExt as _, stream};
use sqlx::{PgPool, postgres::PgListener};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{Change, Changed, Changes, Latest, Ordering};

const CHANNEL: &str = "binnacle_scheduler";
/// How often a replica with watchers says so, and how long it is told of changes after that.
const ASK: Duration = Duration::from_millis(500);
const ASKED: Duration = Duration::from_secs(2);
/// How long changes gather before they are told.
const GATHER: Duration = Duration::from_millis(50);
/// Changes of one notification, which may have 8000 bytes.
const CHANGES: usize = 140;
/// What a replica says when it cannot tell what has changed.
const MISSED: &str = "missed";

/// Hears of the changes of others, and tells them its own.
pub(super) struct Exchange<'a> {
    changes: &'a Changes,
    pool: &'a PgPool,
    replica: Uuid,
    /// Until when others want to know, and what is written here since they do.
    asked: Option<(Instant, broadcast::Receiver<Change>)>,
    gathered: Latest,
    tell_at: Option<Instant>,
    /// Whether there were changes that neither were told nor can be.
    has_missed: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(changes: &'a Changes, pool: &'a PgPool, replica: Uuid) -> Self {
        Self {
            changes,
            pool,
            replica,
            asked: None,
            gathered: Latest::default(),
            tell_at: None,
            has_missed: false,
        }
    }

    /// Goes on until the database cannot be reached. What was told and said while nobody listened is missed on both
    /// sides, who are told so when it runs again.
    pub(super) async fn run(&mut self) -> Result<Infallible, sqlx::Error> {
        let failed = self.exchange().await;
        self.has_missed = true;
        failed
    }

    async fn exchange(&mut self) -> Result<Infallible, sqlx::Error> {
        let mut listener = PgListener::connect_with(self.pool).await?;
        listener.listen(CHANNEL).await?;
        if self.has_missed {
            self.changes.tell(Change::Missed);
            self.tell().await?;
        }
        // A stream, which does not lose what it is about to receive when something else is done first. It ends with the
        // connection.
        let heard = stream::try_unfold(listener, async |mut listener| {
            let notification = listener.try_recv().await?;
            Ok::<_, sqlx::Error>(notification.map(|it| (it, listener)))
        });
        let mut heard = pin!(heard);
        let mut ask = tokio::time::interval(ASK);
        loop {
            let tell_at = self.tell_at;
            tokio::select! {
                notification = heard.try_next() => match notification? {
                    Some(notification) => self.hear(notification.payload()),
                    None => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
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
        if words.clone().eq([MISSED]) {
            self.changes.tell(Change::Missed);
            return;
        }
        let changed: Arc<[Changed]> = words.filter_map(|word| word.parse().ok()).collect();
        if changed.is_empty() {
            let receiver = match self.asked.take() {
                Some((_, receiver)) => receiver,
                None => self.changes.0.sender.subscribe(),
            };
            self.asked = Some((Instant::now() + ASKED, receiver));
        } else {
            self.changes.relay(changed);
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
        match change {
            Ok(Change::Here(changed)) => changed.iter().for_each(|it| self.gathered.note(it)),
            // Others hear of it themselves.
            Ok(Change::There(_) | Change::Missed) => return,
            Err(RecvError::Lagged(_) | RecvError::Closed) => self.has_missed = true,
        }
        self.tell_at.get_or_insert_with(|| Instant::now() + GATHER);
    }

    async fn tell(&mut self) -> Result<(), sqlx::Error> {
        self.tell_at = None;
        let gathered = std::mem::take(&mut self.gathered);
        if std::mem::take(&mut self.has_missed) {
            self.notify(&[MISSED.to_owned()]).await?;
        }
        let changes = gathered.into_changes().map(|changed| changed.to_string());
        let changes: Vec<String> = changes.collect();
        for chunk in changes.chunks(CHANGES) {
            self.notify(chunk).await?;
        }
        Ok(())
    }

    /// Who speaks, and what has changed; nothing: a question.
    async fn notify(&self, words: &[String]) -> Result<(), sqlx::Error> {
        let mut payload = self.replica.simple().to_string();
        for word in words {
            payload.push(' ');
            payload.push_str(word);
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

#[cfg(test)]
mod tests {
    use binnacle_boot::Shutdown;
    use binnacle_domain::operation::OperationId;
    use binnacle_test_support::Postgres;
    use tokio::time::timeout;

    use super::*;
    use crate::store::changes::{BEHIND, Behind, Watch, tests::announce};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A replica that is watched and another that has been asked to tell what it changes, on the database of the pool.
    async fn replicas(shutdown: &Shutdown) -> (PgPool, Watch, Changes) {
        let url = Postgres::shared().create_database();
        let pool = PgPool::connect(&url).await.unwrap();
        let (here, there) = (Changes::new(), Changes::new());
        for (number, changes) in [&here, &there].into_iter().enumerate() {
            let replica = Uuid::from_u128(number as u128);
            let exchange = changes
                .clone()
                .exchange(pool.clone(), replica, shutdown.clone());
            shutdown.spawn(exchange);
        }
        let mut watch = here.watch();
        let heard = async {
            loop {
                announce(&there, OperationId(Uuid::max()));
                if let Ok(change) = timeout(2 * GATHER, watch.next()).await {
                    break change;
                }
            }
        };
        timeout(PATIENCE, heard).await.unwrap().unwrap();
        (pool, watch, there)
    }

    async fn is_told_that_it_missed_something(mut watch: Watch) {
        let told = async { while watch.next().await != Err(Behind) {} };
        timeout(PATIENCE, told).await.unwrap();
    }

    #[tokio::test]
    async fn a_watcher_is_told_when_another_replica_cannot_tell_all_that_it_changed() {
        let shutdown = Shutdown::new();
        let (_pool, watch, there) = replicas(&shutdown).await;
        for _ in 0..=BEHIND {
            announce(&there, OperationId(Uuid::max()));
        }
        is_told_that_it_missed_something(watch).await;
    }

    #[tokio::test]
    async fn a_watcher_is_told_when_its_replica_could_not_hear_the_others() {
        const DEAF: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND query LIKE 'LISTEN%'";
        let shutdown = Shutdown::new();
        let (pool, watch, _there) = replicas(&shutdown).await;
        sqlx::query(DEAF).execute(&pool).await.unwrap();
        is_told_that_it_missed_something(watch).await;
    }
}
