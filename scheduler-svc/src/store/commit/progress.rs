//! What becomes of operations that a worker drives.

use std::collections::{BTreeMap, HashMap, HashSet};

use binnacle_domain::operation::{Attempt, OperationId};
use uuid::Uuid;

use super::{Answer, Answers, Positions};
use crate::store::{
    Error,
    sql::{Column, Transaction, Value},
    statement,
    stored::{kind_name, result_name},
};

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

pub(super) async fn save(
    transaction: &mut Transaction,
    now: i64,
    saves: &Positions<'_, Save>,
    answers: &mut Answers,
) -> Result<(), Error> {
    for round in rounds(saves, |save| save.id) {
        let versions = update(transaction, now, &round).await?;
        let (written, missed): (Vec<_>, Vec<_>) = round
            .into_iter()
            .partition(|(_, save)| versions.contains_key(&save.id.0));
        ledger(transaction, &written).await?;
        for (at, save) in written {
            let version = versions.get(&save.id.0).copied().unwrap_or_default();
            answers.set(at, Answer::Saved(Saved::At(version)));
        }
        recognise(transaction, &missed, answers).await?;
    }
    Ok(())
}

/// One statement writes a row once, so that of several items about one operation each has a round of its own.
fn rounds<'a, T>(
    items: &Positions<'a, T>,
    id: impl Fn(&T) -> OperationId,
) -> Vec<Positions<'a, T>> {
    let mut rounds = Vec::new();
    let mut rest = items.clone();
    rest.sort_by_key(|(_, item)| id(item));
    while !rest.is_empty() {
        let mut seen = HashSet::new();
        let (round, later) = rest
            .into_iter()
            .partition(|(_, item)| seen.insert(id(item)));
        rounds.push(round);
        rest = later;
    }
    rounds
}

async fn update(
    transaction: &mut Transaction,
    now: i64,
    saves: &Positions<'_, Save>,
) -> Result<HashMap<Uuid, i64>, Error> {
    let each = || saves.iter().map(|(_, save)| *save);
    let columns = [
        Column::Ids(each().map(|s| s.id.0).collect()),
        Column::Numbers(each().map(|s| s.epoch).collect()),
        Column::Numbers(each().map(|s| s.version).collect()),
        Column::Texts(each().map(|s| s.webhooks.as_str()).collect()),
        Column::MaybeTexts(each().map(|s| s.outcome.as_deref()).collect()),
        Column::MaybeNumbers(each().map(|s| s.release_for).collect()),
    ];
    let rows: Vec<(Uuid, i64)> = transaction
        .run(statement::SAVE, &columns, &[Value::Number(now)])
        .await?;
    Ok(rows.into_iter().collect())
}

async fn ledger(transaction: &mut Transaction, saves: &Positions<'_, Save>) -> Result<(), Error> {
    // One statement writes a row once: of a run that is told twice, the longer.
    let mut longest: BTreeMap<(Uuid, Uuid, u32), &Attempt> = BTreeMap::new();
    for (_, save) in saves {
        for attempt in &save.attempts {
            let key = (save.id.0, attempt.webhook_id, attempt.number);
            let row = longest.entry(key).or_insert(attempt);
            if row.count < attempt.count {
                *row = attempt;
            }
        }
    }
    if longest.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, &Attempt)> = longest
        .into_iter()
        .map(|((id, ..), attempt)| (id, attempt))
        .collect();
    let each = || rows.iter().map(|(_, attempt)| *attempt);
    let exchange = || each().map(|attempt| &attempt.exchange);
    let columns = [
        Column::Ids(rows.iter().map(|(id, _)| *id).collect()),
        Column::Ids(each().map(|a| a.webhook_id).collect()),
        Column::Numbers(each().map(|a| i64::from(a.number)).collect()),
        Column::Numbers(each().map(|a| i64::from(a.count)).collect()),
        Column::Texts(each().map(|a| kind_name(a.kind)).collect()),
        Column::Texts(each().map(|a| result_name(a.result)).collect()),
        Column::Numbers(
            exchange()
                .map(|e| e.started_at.timestamp_micros())
                .collect(),
        ),
        Column::Numbers(exchange().map(|e| e.ended_at.timestamp_micros()).collect()),
        Column::MaybeNumbers(exchange().map(|e| e.status_code.map(i64::from)).collect()),
        Column::Texts(exchange().map(|e| e.request.as_str()).collect()),
        Column::Texts(exchange().map(|e| e.response.as_str()).collect()),
        Column::Texts(each().map(|a| a.error.as_str()).collect()),
        Column::MaybeNumbers(
            each()
                .map(|a| a.next_attempt_at.map(|at| at.timestamp_micros()))
                .collect(),
        ),
    ];
    let none: Vec<(i64,)> = transaction.run(statement::LEDGER, &columns, &[]).await?;
    drop(none);
    Ok(())
}

/// A report whose answer was lost comes again: what it says is what is stored, one version on.
async fn recognise(
    transaction: &mut Transaction,
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

pub(super) async fn release(
    transaction: &mut Transaction,
    now: i64,
    releases: &Positions<'_, Release>,
    answers: &mut Answers,
) -> Result<(), Error> {
    for round in rounds(releases, |release| release.id) {
        let each = || round.iter().map(|(_, release)| *release);
        let holder = |release: &Release| {
            if release.is_orphaned {
                Uuid::max()
            } else {
                Uuid::nil()
            }
        };
        let columns = [
            Column::Ids(each().map(|r| r.id.0).collect()),
            Column::Numbers(each().map(|r| r.epoch).collect()),
            Column::Ids(each().map(holder).collect()),
            Column::Numbers(each().map(|r| r.retry_in).collect()),
        ];
        let rows: Vec<(Uuid, i64)> = transaction
            .run(statement::RELEASE, &columns, &[Value::Number(now)])
            .await?;
        let versions: HashMap<Uuid, i64> = rows.into_iter().collect();
        for (at, release) in round {
            let version = versions.get(&release.id.0);
            let saved = version.map_or(Saved::Stale, |version| Saved::At(*version));
            answers.set(at, Answer::Saved(saved));
        }
    }
    Ok(())
}

/// The end of an operation.
pub(super) struct Ending {
    pub(super) id: OperationId,
    pub(super) epoch: i64,
    /// The stored form, where it differs from the recorded one.
    pub(super) outcome: Option<String>,
    /// It may end without a recorded outcome, and its holder is to find out.
    pub(super) is_closing: bool,
}

/// Moves operations into the history and gives the versions of those that it moved.
pub(super) async fn end(
    transaction: &mut Transaction,
    now: i64,
    endings: &[Ending],
) -> Result<HashMap<Uuid, i64>, Error> {
    let columns = [
        Column::Ids(endings.iter().map(|e| e.id.0).collect()),
        Column::Numbers(endings.iter().map(|e| e.epoch).collect()),
        Column::MaybeTexts(endings.iter().map(|e| e.outcome.as_deref()).collect()),
        Column::Numbers(endings.iter().map(|e| i64::from(e.is_closing)).collect()),
    ];
    let rows: Vec<(Uuid, i64)> = transaction
        .run(statement::DONE, &columns, &[Value::Number(now)])
        .await?;
    Ok(rows.into_iter().collect())
}

pub(super) async fn finish(
    transaction: &mut Transaction,
    now: i64,
    dones: &Positions<'_, Done>,
    answers: &mut Answers,
) -> Result<(), Error> {
    for round in rounds(dones, |done| done.id) {
        let endings: Vec<Ending> = round
            .iter()
            .map(|(_, done)| Ending {
                id: done.id,
                epoch: done.epoch,
                outcome: done.outcome.clone(),
                is_closing: false,
            })
            .collect();
        let versions = end(transaction, now, &endings).await?;
        let (ended, missed): (Vec<_>, Vec<_>) = round
            .into_iter()
            .partition(|(_, done)| versions.contains_key(&done.id.0));
        for (at, done) in ended {
            let version = versions.get(&done.id.0).copied().unwrap_or_default();
            answers.set(at, Answer::Saved(Saved::At(version)));
        }
        finished_before(transaction, &missed, answers).await?;
    }
    Ok(())
}

/// A done whose answer was lost comes again.
async fn finished_before(
    transaction: &mut Transaction,
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
