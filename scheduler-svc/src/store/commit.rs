//! One transaction of everything that waits to be written.

mod lease;
mod postgres;
mod progress;
mod record;
mod sqlite;
mod transaction;
mod write;

use std::{slice, sync::Arc, time::Instant};

use binnacle_boot::{
    batch,
    database::{self, Database, Kept, Sqlite},
};
use futures::FutureExt as _;
use sqlx::PgPool;

use super::{Error, changes::Changes, clock::Clock, metrics::Metrics, statement};
pub(crate) use lease::{Claim, ClaimRow, Session};
pub(crate) use progress::{Done, Release, Save, Saved};
pub(crate) use record::{Record, Recorded};
use transaction::Transaction;
use write::Round;

/// How often a transaction is tried that the database gives up in favour of another.
const TRIES: u32 = 6;

/// Something to write.
#[derive(Debug)]
pub(crate) enum Write {
    Record(Record),
    Save(Save),
    Release(Release),
    Done(Done),
    Claim(Claim),
    Session(Session),
}

/// What became of a [`Write`]; the variants correspond.
#[derive(Debug)]
pub(crate) enum Answer {
    Recorded(Recorded),
    Saved(Saved),
    Claimed(Vec<ClaimRow>),
    /// Whether the session goes on.
    Session(bool),
    /// How many operations a session had been granted and does not hold.
    Freed(usize),
    /// The database does not take it.
    Refused,
}

/// Commits writes together.
pub(crate) struct Commits {
    pub(super) database: Database,
    pub(super) clock: Arc<Clock>,
    pub(super) changes: Changes,
    pub(super) metrics: Metrics,
    pub(super) kept: Kept,
}

/// The writes of one kind with their positions in the batch.
type Positions<'a, T> = Vec<(usize, &'a T)>;

#[derive(Clone, Default)]
struct Sorted<'a> {
    sessions: Positions<'a, Session>,
    round: Round<'a>,
    claims: Positions<'a, Claim>,
}

impl<'a> Sorted<'a> {
    fn new(items: &'a [Write]) -> Self {
        let mut sorted = Self::default();
        for (at, item) in items.iter().enumerate() {
            match item {
                Write::Session(session) => sorted.sessions.push((at, session)),
                Write::Save(save) => sorted.round.saves.push((at, save)),
                Write::Release(release) => sorted.round.releases.push((at, release)),
                Write::Done(done) => sorted.round.dones.push((at, done)),
                Write::Record(record) => sorted.round.records.push((at, record)),
                Write::Claim(claim) => sorted.claims.push((at, claim)),
            }
        }
        sorted
    }

    /// Whether it is one session that goes on, and nothing else.
    fn is_renewal(&self) -> bool {
        let is_renewed = |session: &Session| matches!(session, Session::Renew { .. });
        matches!(self.sessions.as_slice(), [(_, session)] if is_renewed(session))
            && self.round.is_empty()
            && self.claims.is_empty()
    }
}

fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Database(source) if database::is_conflict(source))
}

/// The answers that gather for a batch.
struct Answers(Vec<Option<Answer>>);

impl Answers {
    fn to(items: &[Write]) -> Self {
        Self(items.iter().map(|_| None).collect())
    }

    fn set(&mut self, at: usize, answer: Answer) {
        if let Some(place) = self.0.get_mut(at) {
            *place = Some(answer);
        }
    }

    fn take(self) -> Vec<Answer> {
        self.0.into_iter().flatten().collect()
    }
}

impl batch::Commit for Commits {
    type Item = Write;
    type Answer = Answer;
    type Error = Error;

    async fn commit(&mut self, items: &[Write]) -> Result<Vec<Answer>, Error> {
        match self.commit_together(items).await {
            Err(error) if error.is_about_an_item() => self.commit_singly(items).await,
            result => result,
        }
    }

    fn is_retryable(&self, error: &Error) -> bool {
        is_conflict(error)
    }
}

impl Commits {
    async fn commit_together(&mut self, items: &[Write]) -> Result<Vec<Answer>, Error> {
        let timer = self.metrics.commit_seconds.start_timer();
        let answers = match &self.database {
            Database::Sqlite(sqlite) => self.commit_sqlite(sqlite, items).await?,
            Database::Postgres(pool) => {
                let pool = pool.clone();
                self.commit_postgres(&pool, items).await?
            }
        };
        timer.observe_duration();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a batch has a few hundred items"
        )]
        self.metrics.batch_size.observe(items.len() as f64);
        let answers = answers.take();
        self.changes.announce(items, &answers);
        Ok(answers)
    }

    async fn commit_sqlite(&self, sqlite: &Sqlite, items: &[Write]) -> Result<Answers, Error> {
        let work = |connection: &rusqlite::Connection| {
            let mut answers = Answers::to(items);
            let mut transaction = sqlite::Sqlite(connection);
            write(
                &mut transaction,
                &self.clock,
                Sorted::new(items),
                &mut answers,
            )
            .now_or_never()
            .unwrap_or(Err(Error::Stopped))?;
            Ok(answers)
        };
        sqlite.transact(work).await
    }

    async fn commit_postgres(&mut self, pool: &PgPool, items: &[Write]) -> Result<Answers, Error> {
        let mut answers = Answers::to(items);
        let sorted = Sorted::new(items);
        // Repeated below where it fails, on a connection that has been looked at.
        let is_timely = !self.clock.is_stale();
        if is_timely && sorted.is_renewal() && self.renew(pool, &sorted, &mut answers).await.is_ok()
        {
            return Ok(answers);
        }
        let is_plain = sorted.sessions.is_empty() && sorted.claims.is_empty();
        let rest = if is_plain && is_timely {
            self.write_at_once(pool, sorted.round, &mut answers).await?
        } else {
            sorted.round
        };
        let sorted = Sorted {
            round: rest,
            ..sorted
        };
        if !(is_plain && sorted.round.is_empty()) {
            self.write_in_transaction(pool, &sorted, &mut answers)
                .await?;
        }
        Ok(answers)
    }

    /// Renews a session by one statement; a worker that has nothing to do says nothing else.
    async fn renew(
        &mut self,
        pool: &PgPool,
        sorted: &Sorted<'_>,
        answers: &mut Answers,
    ) -> Result<(), Error> {
        let mut connection = postgres::Postgres(self.kept.take(pool).await?);
        lease::sessions(&mut connection, self.clock.now(), &sorted.sessions, answers).await?;
        self.kept.put(connection.0);
        Ok(())
    }

    /// Tries again by itself what the database gave up in favour of others, since what was written before stays
    /// written.
    async fn write_in_transaction(
        &self,
        pool: &PgPool,
        sorted: &Sorted<'_>,
        answers: &mut Answers,
    ) -> Result<(), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let written = async {
                let mut transaction = postgres::Postgres::begin(pool).await?;
                write(&mut transaction, &self.clock, sorted.clone(), answers).await?;
                Ok(transaction.commit().await?)
            };
            match written.await {
                Err(error) if tries < TRIES && is_conflict(&error) => {}
                result => return result,
            }
        }
    }

    /// Writes what can be written in one go, and gives back what needs a second look.
    async fn write_at_once<'a>(
        &mut self,
        pool: &PgPool,
        round: Round<'a>,
        answers: &mut Answers,
    ) -> Result<Round<'a>, Error> {
        let now = self.clock.now();
        let (first, mut rest) = round.split();
        let mut connection = self.kept.take(pool).await?;
        let rows = postgres::write(&mut connection, first.work(&first.ends()), now).await?;
        self.kept.put(connection);
        rest.append(first.answer(&rows, answers));
        Ok(rest)
    }

    /// Finds the item that the database does not take, so that the others are written.
    async fn commit_singly(&mut self, items: &[Write]) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            match self.commit_together(slice::from_ref(item)).await {
                Ok(answer) => answers.extend(answer),
                Err(error) if error.is_about_an_item() => {
                    tracing::error!(?item, error = %error.with_cause(), "cannot be written");
                    answers.push(Answer::Refused);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }
}

/// What ends goes before what begins, so that a resource is free for its next operation; claims go last, so that
/// they find what was given back.
async fn write(
    transaction: &mut impl Transaction,
    clock: &Clock,
    sorted: Sorted<'_>,
    answers: &mut Answers,
) -> Result<(), Error> {
    if clock.is_stale() {
        let asked = Instant::now();
        let now: Vec<(i64,)> = transaction.run(statement::CLOCK, &[], &[]).await?;
        if let Some((now,)) = now.first() {
            clock.set(*now, asked);
        }
    }
    let now = clock.now();
    let Sorted {
        sessions,
        mut round,
        claims,
    } = sorted;
    lease::sessions(transaction, now, &sessions, answers).await?;
    while !round.is_empty() {
        let (first, rest) = round.split();
        let rows = transaction.write(first.work(&first.ends()), now).await?;
        let missed = first.answer(&rows, answers);
        progress::recognise(transaction, &missed.saves, answers).await?;
        progress::finished_before(transaction, &missed.dones, answers).await?;
        record::judge(transaction, now, &missed.records, answers).await?;
        round = rest;
    }
    lease::claim(transaction, now, &claims, answers).await
}
