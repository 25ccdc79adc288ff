//! What is written in one go, whatever is in it: one statement on PostgreSQL, one visit to SQLite's thread.

use std::collections::{BTreeMap, HashMap, HashSet};

use binnacle_domain::operation::{Attempt, OperationId};
use sqlx::{PgConnection, SqliteConnection};
use uuid::Uuid;

use super::{Answer, Answers, Done, Positions, Record, Recorded, Release, Save, Saved};
use crate::store::{
    Error,
    sql::{self, Column, Table, Transaction, Value},
    statement,
    stored::{kind_name, result_name},
};

/// What becomes of operations: saved, given back, ended, recorded.
#[derive(Clone, Default)]
pub(super) struct Round<'a> {
    pub(super) saves: Positions<'a, Save>,
    pub(super) releases: Positions<'a, Release>,
    pub(super) dones: Positions<'a, Done>,
    pub(super) records: Positions<'a, Record>,
}

/// The end of an operation that is still open here, and whose holder is to find out.
pub(super) struct Ending {
    pub(super) id: OperationId,
    pub(super) epoch: i64,
    /// The stored form.
    pub(super) outcome: Option<String>,
}

/// Operations to close, and those to record in their places.
#[derive(Default)]
pub(super) struct Closing<'a> {
    pub(super) endings: Vec<Ending>,
    pub(super) records: Positions<'a, Record>,
}

/// What was written, with the version reached.
type Written = (i64, Uuid, i64);

const SAVED: i64 = 1;
const RELEASED: i64 = 2;
const ENDED: i64 = 3;
const RECORDED: i64 = 4;

impl Round<'_> {
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = self;
        saves.is_empty() && releases.is_empty() && dones.is_empty() && records.is_empty()
    }

    pub(super) fn append(&mut self, other: Self) {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = other;
        self.saves.extend(saves);
        self.releases.extend(releases);
        self.dones.extend(dones);
        self.records.extend(records);
    }

    /// What can be written together, and the rest: a statement writes a row once, so that of several items about
    /// one operation each has a round of its own. All go by their keys, in which order every replica takes locks.
    pub(super) fn split(self) -> (Self, Self) {
        let Self {
            saves,
            releases,
            dones,
            mut records,
        } = self;
        let mut seen = HashSet::new();
        let (saves, late_saves) = first(saves, |save| save.id, &mut seen);
        let (releases, late_releases) = first(releases, |release| release.id, &mut seen);
        let (dones, late_dones) = first(dones, |done| done.id, &mut seen);
        records.sort_by_key(|(_, record)| record.resource.id);
        let now = Self {
            saves,
            releases,
            dones,
            records,
        };
        let later = Self {
            saves: late_saves,
            releases: late_releases,
            dones: late_dones,
            records: Vec::new(),
        };
        (now, later)
    }

    fn tables(&self) -> [Table<'_>; 5] {
        let endings = self.dones.iter().map(|(_, done)| {
            let outcome = done.outcome.as_deref();
            (done.id.0, done.epoch, outcome, 0)
        });
        [
            saves(&self.saves),
            attempts(&self.saves),
            releases(&self.releases),
            ends(endings),
            records(&self.records),
        ]
    }

    pub(super) async fn write(
        &self,
        transaction: &mut Transaction,
        now: i64,
    ) -> Result<Vec<Written>, Error> {
        let now = [Value::Number(now)];
        Ok(transaction
            .run(statement::WRITE, &self.tables(), &now)
            .await?)
    }

    pub(super) async fn write_alone_sqlite(
        &self,
        connection: &mut SqliteConnection,
        now: i64,
    ) -> Result<Vec<Written>, Error> {
        let now = [Value::Number(now)];
        let sql = statement::WRITE_ALONE;
        Ok(sql::run_alone_sqlite(connection, sql, &self.tables(), &now).await?)
    }

    pub(super) async fn write_alone_postgres(
        &self,
        connection: &mut PgConnection,
        now: i64,
    ) -> Result<Vec<Written>, Error> {
        let now = [Value::Number(now)];
        let sql = statement::WRITE.postgres;
        Ok(sql::run_postgres(connection, sql, &self.tables(), &now).await?)
    }

    /// Answers what was written, and gives back the rest. A release that was not written is stale.
    pub(super) fn answer(self, rows: &[Written], answers: &mut Answers) -> Self {
        let Self {
            saves,
            releases,
            dones,
            records,
        } = self;
        let mut written: HashMap<(i64, Uuid), i64> = rows
            .iter()
            .map(|(kind, id, version)| ((*kind, *id), *version))
            .collect();
        // Taken out, so that of a repeat in one batch only the first is new.
        let mut taken = |kind, id: OperationId| written.remove(&(kind, id.0));
        let mut missed = Self::default();
        for (at, save) in saves {
            match taken(SAVED, save.id) {
                Some(version) => answers.set(at, Answer::Saved(Saved::At(version))),
                None => missed.saves.push((at, save)),
            }
        }
        for (at, release) in releases {
            let version = taken(RELEASED, release.id);
            let saved = version.map_or(Saved::Stale, Saved::At);
            answers.set(at, Answer::Saved(saved));
        }
        for (at, done) in dones {
            match taken(ENDED, done.id) {
                Some(version) => answers.set(at, Answer::Saved(Saved::At(version))),
                None => missed.dones.push((at, done)),
            }
        }
        for (at, record) in records {
            match taken(RECORDED, record.id) {
                Some(_) => answers.set(at, Answer::Recorded(Recorded::New)),
                None => missed.records.push((at, record)),
            }
        }
        missed
    }
}

impl Closing<'_> {
    pub(super) async fn write(
        mut self,
        transaction: &mut Transaction,
        now: i64,
        answers: &mut Answers,
    ) -> Result<(), Error> {
        if self.records.is_empty() {
            return Ok(());
        }
        self.records.sort_by_key(|(_, record)| record.resource.id);
        self.endings.sort_by_key(|ending| ending.id);
        let endings = self
            .endings
            .iter()
            .map(|ending| (ending.id.0, ending.epoch, ending.outcome.as_deref(), 1));
        let tables = [
            saves(&[]),
            attempts(&[]),
            releases(&[]),
            ends(endings),
            records(&self.records),
        ];
        let rows: Vec<Written> = transaction
            .run(statement::WRITE, &tables, &[Value::Number(now)])
            .await?;
        let mut new: HashSet<Uuid> = rows
            .into_iter()
            .filter(|(kind, ..)| *kind == RECORDED)
            .map(|(_, id, _)| id)
            .collect();
        for (at, record) in self.records {
            let is_new = new.remove(&record.id.0);
            let recorded = if is_new {
                Recorded::New
            } else {
                Recorded::Retry
            };
            answers.set(at, Answer::Recorded(recorded));
        }
        Ok(())
    }
}

fn first<'a, T>(
    mut items: Positions<'a, T>,
    id: impl Fn(&T) -> OperationId,
    seen: &mut HashSet<OperationId>,
) -> (Positions<'a, T>, Positions<'a, T>) {
    items.sort_by_key(|(_, item)| id(item));
    items
        .into_iter()
        .partition(|(_, item)| seen.insert(id(item)))
}

fn saves<'a>(saves: &[(usize, &'a Save)]) -> Table<'a> {
    let each = || saves.iter().map(|(_, save)| *save);
    vec![
        Column::Ids(each().map(|s| s.id.0).collect()),
        Column::Numbers(each().map(|s| s.epoch).collect()),
        Column::Numbers(each().map(|s| s.version).collect()),
        Column::Texts(each().map(|s| s.webhooks.as_str()).collect()),
        Column::MaybeTexts(each().map(|s| s.outcome.as_deref()).collect()),
        Column::MaybeNumbers(each().map(|s| s.release_for).collect()),
    ]
}

fn attempts<'a>(saves: &[(usize, &'a Save)]) -> Table<'a> {
    // One statement writes a row once: of a run that is told twice, the longer.
    let mut longest: BTreeMap<(Uuid, Uuid, u32), (&Save, &Attempt)> = BTreeMap::new();
    for (_, save) in saves {
        for attempt in &save.attempts {
            let key = (save.id.0, attempt.webhook_id, attempt.number);
            let row = longest.entry(key).or_insert((save, attempt));
            if row.1.count < attempt.count {
                row.1 = attempt;
            }
        }
    }
    let each = || longest.values().map(|(_, attempt)| *attempt);
    let save = || longest.values().map(|(save, _)| *save);
    let exchange = || each().map(|attempt| &attempt.exchange);
    vec![
        Column::Ids(save().map(|s| s.id.0).collect()),
        Column::Numbers(save().map(|s| s.epoch).collect()),
        Column::Numbers(save().map(|s| s.version).collect()),
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
    ]
}

fn releases<'a>(releases: &[(usize, &'a Release)]) -> Table<'a> {
    let each = || releases.iter().map(|(_, release)| *release);
    let holder = |release: &Release| {
        if release.is_orphaned {
            Uuid::max()
        } else {
            Uuid::nil()
        }
    };
    vec![
        Column::Ids(each().map(|r| r.id.0).collect()),
        Column::Numbers(each().map(|r| r.epoch).collect()),
        Column::Ids(each().map(holder).collect()),
        Column::Numbers(each().map(|r| r.retry_in).collect()),
    ]
}

/// Operation, epoch, outcome where it differs from the recorded one, and 1 for one that may end without.
fn ends<'a>(endings: impl Iterator<Item = (Uuid, i64, Option<&'a str>, i64)> + Clone) -> Table<'a> {
    vec![
        Column::Ids(endings.clone().map(|(id, ..)| id).collect()),
        Column::Numbers(endings.clone().map(|(_, epoch, ..)| epoch).collect()),
        Column::MaybeTexts(endings.clone().map(|(_, _, outcome, _)| outcome).collect()),
        Column::Numbers(endings.map(|(.., closing)| closing).collect()),
    ]
}

fn records<'a>(records: &[(usize, &'a Record)]) -> Table<'a> {
    let each = || records.iter().map(|(_, record)| *record);
    vec![
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
    ]
}
