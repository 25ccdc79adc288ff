//! What becomes of operations that a worker drives.

use std::collections::HashMap;

use binnacle_domain::operation::{Attempt, OperationId};
use uuid::Uuid;

use super::{Answer, Answers, Positions, transaction::Transaction};
use crate::store::{Error, sql::Column, statement};

/// Progress to save.
#[derive(Debug)]
pub(crate) struct Save {
    pub(crate) id: OperationId,
    pub(crate) epoch: i64,
    /// The version that the worker last saw.
    pub(crate) version: i64,
    /// The stored form.
    pub(crate) webhooks: String,
    /// The stored form.
    pub(crate) outcome: Option<String>,
    /// Microseconds after which it is due again, if the lease is given back.
    pub(crate) release_for: Option<i64>,
    pub(crate) attempts: Vec<Attempt>,
}

/// A lease to give back.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) id: OperationId,
    pub(crate) epoch: i64,
    /// Microseconds after which it is due again.
    pub(crate) retry_in: i64,
    /// The grant may have reached the worker.
    pub(crate) is_orphaned: bool,
}

impl Release {
    /// Who holds the operation then.
    pub(super) fn holder(&self) -> Uuid {
        if self.is_orphaned {
            Uuid::max()
        } else {
            Uuid::nil()
        }
    }
}

/// An operation to finish.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) id: OperationId,
    pub(crate) epoch: i64,
    /// The stored form, where it differs from the recorded one.
    pub(crate) outcome: Option<String>,
}

/// What became of a [`Save`], [`Release`] or [`Done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// Written, now or by an earlier copy of the same message.
    At(i64),
    /// Nothing was written: the operation is somebody else's, or has ended.
    Stale,
}

#[derive(Debug, sqlx::FromRow)]
struct Stored {
    id: Uuid,
    epoch: i64,
    version: i64,
    webhooks: String,
    outcome: Option<String>,
}

impl TryFrom<&rusqlite::Row<'_>> for Stored {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            epoch: row.get("epoch")?,
            version: row.get("version")?,
            webhooks: row.get("webhooks")?,
            outcome: row.get("outcome")?,
        })
    }
}

/// A report whose answer was lost comes again: what it says is what is stored, one version on.
pub(super) async fn recognise(
    transaction: &mut impl Transaction,
    missed: &Positions<'_, Save>,
    answers: &mut Answers,
) -> Result<(), Error> {
    if missed.is_empty() {
        return Ok(());
    }
    let ids = Column::Ids(missed.iter().map(|(_, save)| save.id.0).collect());
    let rows: Vec<Stored> = transaction.run(statement::SAVED, &[ids], &[]).await?;
    let stored: HashMap<Uuid, Stored> = rows.into_iter().map(|row| (row.id, row)).collect();
    for (at, save) in missed {
        let same = stored.get(&save.id.0).filter(|row| {
            row.epoch == save.epoch
                && row.version == save.version + 1
                && row.webhooks == save.webhooks
                && (save.outcome.is_none() || row.outcome == save.outcome)
        });
        let saved = same.map_or(Saved::Stale, |row| Saved::At(row.version));
        answers.set(*at, Answer::Saved(saved));
    }
    Ok(())
}

/// A done whose answer was lost comes again.
pub(super) async fn finished_before(
    transaction: &mut impl Transaction,
    missed: &Positions<'_, Done>,
    answers: &mut Answers,
) -> Result<(), Error> {
    if missed.is_empty() {
        return Ok(());
    }
    let ids = Column::Ids(missed.iter().map(|(_, done)| done.id.0).collect());
    let rows: Vec<(Uuid, i64, i64)> = transaction.run(statement::FINISHED, &[ids], &[]).await?;
    let finished: HashMap<Uuid, (i64, i64)> = rows
        .into_iter()
        .map(|(id, epoch, version)| (id, (epoch, version)))
        .collect();
    for (at, done) in missed {
        let saved = match finished.get(&done.id.0) {
            Some((epoch, version)) if *epoch == done.epoch => Saved::At(*version),
            _ => Saved::Stale,
        };
        answers.set(*at, Answer::Saved(saved));
    }
    Ok(())
}
