//! One transaction of everything that waits to be written.

mod lease;
mod progress;
mod record;

use std::sync::Arc;

use binnacle_boot::{
    batch,
    database::{self, Database},
};

use super::{Error, changes::Changes, clock::Clock, metrics::Metrics, sql::Transaction, statement};
pub(crate) use lease::{Claim, ClaimRow, Session};
pub(crate) use progress::{Done, Release, Save, Saved};
pub(crate) use record::{Record, Recorded};

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
    /// The database does not take it.
    Refused,
}

/// Commits writes together.
pub(crate) struct Commits {
    pub(super) database: Database,
    pub(super) clock: Arc<Clock>,
    pub(super) changes: Changes,
    pub(super) metrics: Metrics,
}

/// The writes of one kind with their positions in the batch.
type Positions<'a, T> = Vec<(usize, &'a T)>;

#[derive(Default)]
struct Sorted<'a> {
    sessions: Positions<'a, Session>,
    saves: Positions<'a, Save>,
    releases: Positions<'a, Release>,
    dones: Positions<'a, Done>,
    records: Positions<'a, Record>,
    claims: Positions<'a, Claim>,
}

impl<'a> Sorted<'a> {
    fn new(items: &'a [Write]) -> Self {
        let mut sorted = Self::default();
        for (at, item) in items.iter().enumerate() {
            match item {
                Write::Session(session) => sorted.sessions.push((at, session)),
                Write::Save(save) => sorted.saves.push((at, save)),
                Write::Release(release) => sorted.releases.push((at, release)),
                Write::Done(done) => sorted.dones.push((at, done)),
                Write::Record(record) => sorted.records.push((at, record)),
                Write::Claim(claim) => sorted.claims.push((at, claim)),
            }
        }
        sorted
    }
}

/// The answers that gather for a batch.
struct Answers(Vec<Option<Answer>>);

impl Answers {
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
        matches!(error, Error::Database(source) if database::is_conflict(source))
    }
}

impl Commits {
    async fn commit_together(&self, items: &[Write]) -> Result<Vec<Answer>, Error> {
        let timer = self.metrics.commit_seconds.start_timer();
        let mut answers = Answers(items.iter().map(|_| None).collect());
        let mut transaction = Transaction::begin(&self.database).await?;
        self.write(&mut transaction, items, &mut answers).await?;
        transaction.commit().await?;
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

    /// Finds the item that the database does not take, so that the others are written.
    async fn commit_singly(&self, items: &[Write]) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            match self.commit_together(std::slice::from_ref(item)).await {
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

    /// What ends goes before what begins, so that a resource is free for its next operation; claims go last, so
    /// that they find what was given back.
    async fn write(
        &self,
        transaction: &mut Transaction,
        items: &[Write],
        answers: &mut Answers,
    ) -> Result<(), Error> {
        if self.clock.is_stale() {
            let now: Vec<(i64,)> = transaction.run(statement::CLOCK, &[], &[]).await?;
            if let Some((now,)) = now.first() {
                self.clock.set(*now);
            }
        }
        let now = self.clock.now();
        let sorted = Sorted::new(items);
        lease::sessions(transaction, now, &sorted.sessions, answers).await?;
        progress::save(transaction, now, &sorted.saves, answers).await?;
        progress::release(transaction, now, &sorted.releases, answers).await?;
        progress::finish(transaction, now, &sorted.dones, answers).await?;
        record::record(transaction, now, &sorted.records, answers).await?;
        lease::claim(transaction, now, &sorted.claims, answers).await
    }
}
