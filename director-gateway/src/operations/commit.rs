//! The writer's transaction: what was accepted and what is finalized, together.

use std::collections::{HashMap, HashSet};

use binnacle_boot::{
    batch,
    database::{self, Database, Kept},
};

use uuid::Uuid;

use super::{Accepted, Error, Finalization, Finalized, finalize::outcome, postgres, sqlite};

/// Something to write.
pub(super) enum Entry {
    /// Mark a resource and record its operation.
    Accept(Box<Accepted>),
    /// Apply an outcome.
    Finalize(Finalization),
}

/// What became of it.
pub(super) enum Answer {
    /// The mark and the record are durable.
    Accepted,
    /// The guard missed.
    Stale,
    /// What became of an outcome.
    Finalized(Finalized),
}

/// The writer of one gateway and its database.
pub(super) struct Entries {
    database: Database,
    kept: Kept,
}

/// A batch apart: one item per resource and per operation; what comes twice is left to the caller's next try.
pub(super) struct Batch<'a> {
    pub(super) accepts: Vec<&'a Accepted>,
    pub(super) finalizations: Vec<&'a Finalization>,
}

impl<'a> Batch<'a> {
    /// Finalizations that did nothing: applied earlier, or unknown.
    pub(super) fn unanswered(&self, outcomes: &Outcomes) -> impl Iterator<Item = &'a Finalization> {
        let items = self.finalizations.iter().copied();
        items.filter(|item| !outcomes.finalized.contains_key(&item.id))
    }
}

/// What was done about an operation.
#[derive(sqlx::FromRow)]
pub(super) struct Done {
    kind: i64,
    operation: Uuid,
    succeeded: bool,
    error: String,
    detail: String,
}

const ACCEPTED: i64 = 1;
const APPLIED: i64 = 2;

/// The answers of a batch.
#[derive(Default)]
pub(super) struct Outcomes {
    /// Operations that were accepted.
    accepted: HashSet<Uuid>,
    /// What became of each finalization.
    finalized: HashMap<Uuid, Finalized>,
}

impl Outcomes {
    pub(super) fn new(done: Vec<Done>) -> Self {
        let mut outcomes = Self::default();
        for row in done {
            let Done {
                kind,
                operation,
                succeeded,
                error,
                detail,
            } = row;
            if kind == ACCEPTED {
                outcomes.accepted.insert(operation);
                continue;
            }
            let outcome = outcome(succeeded, error, detail);
            let finalized = match kind {
                APPLIED => Finalized::Applied(outcome),
                _ => Finalized::ResourceGone(outcome),
            };
            outcomes.finalized.insert(operation, finalized);
        }
        outcomes
    }

    pub(super) fn accepted(&mut self, id: Uuid) {
        self.accepted.insert(id);
    }

    pub(super) fn finalized(&mut self, id: Uuid, finalized: Finalized) {
        self.finalized.insert(id, finalized);
    }

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
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            kept: postgres::kept(),
        }
    }
}

pub(super) fn sort(entries: &[Entry]) -> Batch<'_> {
    let mut batch = Batch {
        accepts: Vec::new(),
        finalizations: Vec::new(),
    };
    let (mut resources, mut operations) = (HashSet::new(), HashSet::new());
    for entry in entries {
        match entry {
            Entry::Accept(accepted) if resources.insert(accepted.application) => {
                batch.accepts.push(accepted);
            }
            Entry::Finalize(finalization) if operations.insert(finalization.id) => {
                batch.finalizations.push(finalization);
            }
            _ => {}
        }
    }
    batch
        .accepts
        .sort_unstable_by_key(|accepted| accepted.application);
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
        let outcomes = match &self.database {
            Database::Sqlite(sqlite) => sqlite::commit(sqlite, entries).await?,
            Database::Postgres(pool) => {
                let batch = sort(entries);
                let mut connection = self.kept.take(pool).await?;
                let outcomes = postgres::commit(&mut connection, &batch).await?;
                self.kept.put(connection);
                outcomes
            }
        };
        let answer = |entry: &Entry| match entry {
            Entry::Accept(accepted) if outcomes.accepted.contains(&accepted.id) => Answer::Accepted,
            Entry::Accept(_) => Answer::Stale,
            Entry::Finalize(finalization) => {
                let finalized = outcomes.finalized.get(&finalization.id);
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
