//! New operations.

use std::collections::HashMap;

use binnacle_domain::operation::{OperationId, Outcome, Resource};
use uuid::Uuid;

use super::{
    Answer, Answers, Positions,
    transaction::Transaction,
    write::{Closing, Ending},
};
use crate::store::{Error, sql::Column, statement, stored};

/// An operation to record.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: OperationId,
    pub(crate) tenant: Uuid,
    pub(crate) resource: Resource,
    pub(crate) destination: i64,
    /// The stored form.
    pub(crate) spec: String,
    /// The stored form.
    pub(crate) webhooks: String,
    /// The resource's previous operation and its outcome, of which there is proof.
    pub(crate) previous: Option<(OperationId, Outcome)>,
    /// When it is recorded, in microseconds.
    pub(crate) now: i64,
    /// The session to grant it to at once.
    pub(crate) holder: Option<Uuid>,
}

/// What became of an operation to record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Recorded now, and granted to the holder that was asked for.
    New,
    /// Recorded earlier, and in progress.
    Known,
    /// Recorded earlier, and concluded.
    Concluded(Outcome),
    /// Another operation of the resource is in progress.
    Conflict(OperationId),
    /// It changed while it was looked at.
    Retry,
}

#[derive(Debug, sqlx::FromRow)]
struct Found {
    asked: Uuid,
    other: Uuid,
    epoch: i64,
    outcome: Option<String>,
}

impl TryFrom<&rusqlite::Row<'_>> for Found {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            asked: row.get("asked")?,
            other: row.get("other")?,
            epoch: row.get("epoch")?,
            outcome: row.get("outcome")?,
        })
    }
}

/// Answers what was not inserted. Where the operation in its way is one that the registry has finished while we have
/// it open, that one is closed first: its epoch moves on, so that whoever drives it finds out.
pub(super) async fn judge(
    transaction: &mut impl Transaction,
    now: i64,
    missed: &Positions<'_, Record>,
    answers: &mut Answers,
) -> Result<(), Error> {
    if missed.is_empty() {
        return Ok(());
    }
    let found = find(transaction, missed).await?;
    let mut closing = Closing::default();
    for (at, record) in missed {
        let answer = match found.get(&record.id.0) {
            None => Recorded::Retry,
            Some(found) if found.other != record.id.0 => match &record.previous {
                Some((previous, outcome)) if previous.0 == found.other => {
                    tracing::warn!(operation.id = %previous, "closed by its successor, from the registry's receipt");
                    closing.endings.push(Ending {
                        id: *previous,
                        epoch: found.epoch,
                        outcome: Some(stored::json(outcome)),
                    });
                    closing.records.push((*at, *record));
                    continue;
                }
                _ => Recorded::Conflict(OperationId(found.other)),
            },
            Some(Found { outcome: None, .. }) => Recorded::Known,
            Some(Found {
                other,
                outcome: Some(outcome),
                ..
            }) => Recorded::Concluded(stored::parse(*other, outcome)?),
        };
        answers.set(*at, Answer::Recorded(answer));
    }
    closing.write(transaction, now, answers).await
}

/// What there is of each: itself, or else the operation that is in its way.
async fn find(
    transaction: &mut impl Transaction,
    missed: &Positions<'_, Record>,
) -> Result<HashMap<Uuid, Found>, Error> {
    let each = || missed.iter().map(|(_, record)| *record);
    let columns = [
        Column::Ids(each().map(|r| r.id.0).collect()),
        Column::Ids(each().map(|r| r.tenant).collect()),
        Column::Texts(each().map(|r| r.resource.kind.as_str()).collect()),
        Column::Ids(each().map(|r| r.resource.id).collect()),
    ];
    let rows: Vec<Found> = transaction.run(statement::FIND, &columns, &[]).await?;
    let mut found: HashMap<Uuid, Found> = HashMap::new();
    for row in rows {
        let is_itself = row.asked == row.other;
        if is_itself || !found.contains_key(&row.asked) {
            found.insert(row.asked, row);
        }
    }
    Ok(found)
}
