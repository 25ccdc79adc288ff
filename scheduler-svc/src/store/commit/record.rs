//! New operations.

use std::collections::{HashMap, HashSet};

use binnacle_domain::operation::{OperationId, Outcome, Resource};
use uuid::Uuid;

use super::{
    Answer, Answers, Positions,
    progress::{self, Ending},
};
use crate::store::{
    Error,
    sql::{Column, Transaction},
    statement, stored,
};

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

pub(super) async fn record(
    transaction: &mut Transaction,
    now: i64,
    records: &Positions<'_, Record>,
    answers: &mut Answers,
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let mut pending = records.clone();
    // Every replica takes the locks of the unique index in one order.
    pending.sort_by_key(|(_, record)| record.resource.id);
    let (mut inserted, missed) = insert(transaction, pending).await?;
    let (known, closable) = judge(transaction, &missed, answers).await?;
    if !closable.is_empty() {
        close(transaction, now, &closable, &known).await?;
        let again = missed
            .into_iter()
            .filter(|(_, record)| closable.contains_key(&record.id))
            .collect();
        let (late, refused) = insert(transaction, again).await?;
        inserted.extend(late);
        for (at, _) in refused {
            answers.set(at, Answer::Recorded(Recorded::Retry));
        }
    }
    let retracted = retract(transaction, &inserted).await?;
    for (at, record) in inserted {
        let answer = if retracted.contains(&record.id.0) {
            Recorded::Retry
        } else {
            Recorded::New
        };
        answers.set(at, Answer::Recorded(answer));
    }
    Ok(())
}

/// Those that were inserted, and the others.
async fn insert<'a>(
    transaction: &mut Transaction,
    records: Positions<'a, Record>,
) -> Result<(Positions<'a, Record>, Positions<'a, Record>), Error> {
    let each = || records.iter().map(|(_, record)| *record);
    let columns = [
        Column::Ids(each().map(|r| r.id.0).collect()),
        Column::Ids(each().map(|r| r.tenant).collect()),
        Column::Texts(each().map(|r| r.resource.kind.as_str()).collect()),
        Column::Ids(each().map(|r| r.resource.id).collect()),
        Column::Numbers(each().map(|r| r.destination).collect()),
        Column::Texts(each().map(|r| r.spec.as_str()).collect()),
        Column::Texts(each().map(|r| r.webhooks.as_str()).collect()),
        Column::Numbers(each().map(|r| i64::from(r.holder.is_some())).collect()),
        Column::Ids(each().map(|r| r.holder.unwrap_or_default()).collect()),
        Column::Numbers(each().map(|r| r.now).collect()),
    ];
    let rows: Vec<(Uuid,)> = transaction.run(statement::RECORD, &columns, &[]).await?;
    let mut new: HashSet<Uuid> = rows.into_iter().map(|(id,)| id).collect();
    // Taken out, so that of a repeat in one batch only the first is new.
    Ok(records
        .into_iter()
        .partition(|(_, record)| new.remove(&record.id.0)))
}

/// Answers what was not inserted, but for those whose predecessor can be closed: these are returned with the
/// epochs that their predecessors have.
async fn judge(
    transaction: &mut Transaction,
    missed: &Positions<'_, Record>,
    answers: &mut Answers,
) -> Result<
    (
        HashMap<OperationId, i64>,
        HashMap<OperationId, (OperationId, Outcome)>,
    ),
    Error,
> {
    let mut epochs = HashMap::new();
    let mut closable = HashMap::new();
    if missed.is_empty() {
        return Ok((epochs, closable));
    }
    let found = find(transaction, missed).await?;
    for (at, record) in missed {
        let answer = match found.get(&record.id.0) {
            None => Recorded::Retry,
            Some(found) if found.other != record.id.0 => match &record.previous {
                Some((previous, outcome)) if previous.0 == found.other => {
                    epochs.insert(*previous, found.epoch);
                    closable.insert(record.id, (*previous, outcome.clone()));
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
    Ok((epochs, closable))
}

/// What there is of each: itself, or else the operation that is in its way.
async fn find(
    transaction: &mut Transaction,
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

/// Closes operations that the registry has finished while we have them open. Their epochs move on, so that
/// whoever drives them finds out.
async fn close(
    transaction: &mut Transaction,
    now: i64,
    closable: &HashMap<OperationId, (OperationId, Outcome)>,
    epochs: &HashMap<OperationId, i64>,
) -> Result<(), Error> {
    let endings: Vec<Ending> = closable
        .values()
        .filter_map(|(previous, outcome)| {
            Some(Ending {
                id: *previous,
                epoch: *epochs.get(previous)?,
                outcome: Some(stored::json(outcome)),
                is_closing: true,
            })
        })
        .collect();
    for ending in &endings {
        tracing::warn!(operation.id = %ending.id, "closed by its successor, from the registry's receipt");
    }
    progress::end(transaction, now, &endings).await.map(drop)
}

/// Takes back what another replica has finished since the insert looked: a repeat that came at that moment.
async fn retract(
    transaction: &mut Transaction,
    inserted: &Positions<'_, Record>,
) -> Result<HashSet<Uuid>, Error> {
    if matches!(transaction, Transaction::Sqlite(_)) || inserted.is_empty() {
        return Ok(HashSet::new());
    }
    let ids = Column::Ids(inserted.iter().map(|(_, record)| record.id.0).collect());
    let rows: Vec<(Uuid,)> = transaction.run(statement::RETRACT, &[ids], &[]).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
