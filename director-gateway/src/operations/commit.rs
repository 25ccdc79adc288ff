//! The writer's transaction: what is accepted and what is finalized, together.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use binnacle_boot::{
    batch,
    database::{self, Database, Kept},
};
use uuid::Uuid;

use super::{
    Accepted, Definitions, Error, Finalization, Finalized, Proposal, finalize::outcome, postgres,
    relay::Outgoing, sqlite,
};
use crate::registry::{
    self, Target,
    application::{Model, OBJECT},
};

/// Something to write.
pub(super) enum Entry {
    /// Read an application, mark it and record the operation that is proposed.
    Start(Start),
    /// Apply an outcome.
    Finalize(Finalization),
}

/// What an operation is to be, by what there is of its application, whose webhooks it may take.
pub(super) type Propose = dyn Fn(&mut Target) -> Result<Proposal, registry::Error> + Send + Sync;

/// An operation to start on an application of a tenant.
pub(super) struct Start {
    pub(super) tenant: Uuid,
    pub(super) application: Uuid,
    pub(super) propose: Box<Propose>,
}

impl Start {
    /// The application, and what is to be accepted.
    pub(super) fn accepted(
        &self,
        target: Option<Target>,
    ) -> Result<(Model, Accepted), registry::Error> {
        let target = target.filter(|target| target.application.tenant_id == self.tenant);
        let mut target = target.ok_or(registry::Error::not_found(OBJECT))?;
        let accepted = (self.propose)(&mut target)?.into();
        Ok((target.application, accepted))
    }
}

/// An application as it was, and the operation on it, both durable.
pub(super) type Started = Box<(Model, Outgoing)>;

/// What became of it.
pub(super) enum Answer {
    /// Or why nothing is proposed.
    Started(Result<Started, registry::Error>),
    /// Nothing: the application or its template is not as it was read, somebody else holds its row, or it cannot be
    /// read.
    Stale,
    /// What became of an outcome.
    Finalized(Finalized),
}

/// The writer of one gateway and its database.
pub(super) struct Entries {
    database: Database,
    kept: Kept,
    definitions: Arc<Definitions>,
}

/// A batch apart: one outcome per operation; what comes twice is left to the caller's next try.
pub(super) struct Batch<'a> {
    pub(super) starts: Vec<&'a Start>,
    pub(super) finalizations: Vec<&'a Finalization>,
}

impl<'a> Batch<'a> {
    /// Finalizations that did nothing: applied earlier, or unknown.
    pub(super) fn unanswered(&self, outcomes: &Outcomes) -> impl Iterator<Item = &'a Finalization> {
        let items = self.finalizations.iter().copied();
        items.filter(|item| !outcomes.finalized.contains_key(&item.id))
    }
}

/// The answers of a batch.
#[derive(Default)]
pub(super) struct Outcomes {
    /// What became of each start, in their order; `None`: stale.
    pub(super) starts: Vec<Option<Result<Started, registry::Error>>>,
    /// What became of each finalization.
    pub(super) finalized: HashMap<Uuid, Finalized>,
}

impl Outcomes {
    /// Adds what receipts say: operation, whether it succeeded, error, detail.
    pub(super) fn earlier(&mut self, receipts: Vec<(Uuid, bool, String, String)>) {
        for (id, succeeded, error, detail) in receipts {
            let outcome = outcome(succeeded, error, detail);
            self.finalized
                .insert(id, Finalized::AlreadyApplied(outcome));
        }
    }
}

impl Entries {
    pub(super) fn new(database: Database, definitions: Arc<Definitions>) -> Self {
        Self {
            database,
            kept: postgres::kept(),
            definitions,
        }
    }
}

fn sort(entries: &[Entry]) -> Batch<'_> {
    let mut batch = Batch {
        starts: Vec::new(),
        finalizations: Vec::new(),
    };
    let mut operations = HashSet::new();
    for entry in entries {
        match entry {
            Entry::Start(start) => batch.starts.push(start),
            Entry::Finalize(finalization) if operations.insert(finalization.id) => {
                batch.finalizations.push(finalization);
            }
            Entry::Finalize(_) => {}
        }
    }
    batch
        .finalizations
        .sort_unstable_by_key(|finalization| finalization.id);
    batch
}

impl batch::Commit for Entries {
    type Item = Entry;
    type Answer = Answer;
    type Error = Error;

    async fn commit(&mut self, entries: &[Entry]) -> Result<Vec<Answer>, Error> {
        let batch = sort(entries);
        let Outcomes { starts, finalized } = match &self.database {
            Database::Sqlite(sqlite) => sqlite::commit(sqlite, &batch, &self.definitions).await?,
            Database::Postgres(pool) => {
                let mut connection = self.kept.take(pool).await?;
                let outcomes = postgres::commit(&mut connection, &batch, &self.definitions).await?;
                self.kept.put(connection);
                outcomes
            }
        };
        let mut starts = starts.into_iter();
        let answer = |entry: &Entry| match entry {
            Entry::Start(_) => starts
                .next()
                .flatten()
                .map_or(Answer::Stale, Answer::Started),
            Entry::Finalize(finalization) => {
                let finalized = finalized.get(&finalization.id);
                Answer::Finalized(finalized.cloned().unwrap_or(Finalized::Unknown))
            }
        };
        Ok(entries.iter().map(answer).collect())
    }

    fn is_retryable(&self, error: &Error) -> bool {
        match error {
            Error::Database(error) => database::is_conflict(error),
            _ => false,
        }
    }
}
