//! What replicas on one PostgreSQL tell one another.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
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

/// One connection's worth of hearing and telling.
pub(super) struct Exchange<'a> {
    changes: &'a Changes,
    pool: &'a PgPool,
    replica: Uuid,
    /// Until when others want to know, and what is written here since they do.
    asked: Option<(Instant, broadcast::Receiver<Change>)>,
    gathered: Latest,
    tell_at: Option<Instant>,
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
        }
    }

    pub(super) async fn run(mut self) -> Result<(), sqlx::Error> {
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
        let changed: Arc<[Changed]> = words.filter_map(|word| word.parse().ok()).collect();
        if changed.is_empty() {
            let receiver = match self.asked.take() {
                Some((_, receiver)) => receiver,
                None => self.changes.0.sender.subscribe(),
            };
            self.asked = Some((Instant::now() + ASKED, receiver));
        } else {
            self.changes.tell(changed, true);
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
            for changed in &*change.operations {
                self.gathered.note(changed);
            }
            self.tell_at.get_or_insert_with(|| Instant::now() + GATHER);
        }
    }

    async fn tell(&mut self) -> Result<(), sqlx::Error> {
        self.tell_at = None;
        let gathered = std::mem::take(&mut self.gathered);
        let changes: Vec<Changed> = gathered.into_changes().collect();
        for chunk in changes.chunks(CHANGES) {
            self.notify(chunk).await?;
        }
        Ok(())
    }

    /// Who speaks, and what has changed; nothing: a question.
    async fn notify(&self, changes: &[Changed]) -> Result<(), sqlx::Error> {
        let mut payload = self.replica.simple().to_string();
        for changed in changes {
            payload.push(' ');
            payload.push_str(&changed.to_string());
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
