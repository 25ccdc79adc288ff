//! A batch on PostgreSQL: arrays in, one statement for all that is written.

use std::{collections::BTreeMap, ops::DerefMut};

use binnacle_boot::database;
use binnacle_domain::operation::Attempt;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Record, Release, Save,
    transaction::{End, Kind, Row, Transaction, Work, Written},
};
use crate::store::{
    Error,
    sql::{self, Column, Value},
    statement::{self, Statement},
    stored::{kind_name, result_name},
};

/// A transaction on PostgreSQL, or a connection outside of one, on which each statement is a transaction.
pub(super) struct Postgres<C>(pub(super) C);

impl Postgres<sqlx::Transaction<'static, sqlx::Postgres>> {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        database::begin(pool).await.map(Self)
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.commit().await
    }
}

impl<C: DerefMut<Target = PgConnection> + Send> Transaction for Postgres<C> {
    async fn run<T: Row>(
        &mut self,
        statement: Statement,
        columns: &[Column<'_>],
        values: &[Value<'_>],
    ) -> Result<Vec<T>, Error> {
        Ok(sql::run_postgres(&mut self.0, statement.postgres, columns, values).await?)
    }

    async fn write(&mut self, work: Work<'_>, now: i64) -> Result<Vec<Written>, Error> {
        write(&mut self.0, work, now).await
    }
}

/// Writes by one statement, which is a transaction if there is none.
pub(super) async fn write(
    connection: &mut PgConnection,
    work: Work<'_>,
    now: i64,
) -> Result<Vec<Written>, Error> {
    let Work {
        saves,
        releases,
        ends,
        records,
    } = work;
    let mut columns = saves_to(saves);
    columns.extend(attempts_to(saves));
    columns.extend(releases_to(releases));
    columns.extend(ends_to(ends));
    columns.extend(records_to(records));
    let now = [Value::Number(now)];
    let rows: Vec<(i64, Uuid, i64)> =
        sql::run_postgres(connection, statement::WRITE, &columns, &now).await?;
    let written = rows.into_iter().filter_map(|(kind, id, version)| {
        let kind = match kind {
            1 => Kind::Saved,
            2 => Kind::Released,
            3 => Kind::Ended,
            4 => Kind::Recorded,
            _ => return None,
        };
        Some((kind, id, version))
    });
    Ok(written.collect())
}

fn saves_to<'a>(saves: &[(usize, &'a Save)]) -> Vec<Column<'a>> {
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

fn attempts_to<'a>(saves: &[(usize, &'a Save)]) -> Vec<Column<'a>> {
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

fn releases_to<'a>(releases: &[(usize, &'a Release)]) -> Vec<Column<'a>> {
    let each = || releases.iter().map(|(_, release)| *release);
    vec![
        Column::Ids(each().map(|r| r.id.0).collect()),
        Column::Numbers(each().map(|r| r.epoch).collect()),
        Column::Ids(each().map(Release::holder).collect()),
        Column::Numbers(each().map(|r| r.retry_in).collect()),
    ]
}

fn ends_to<'a>(ends: &[End<'a>]) -> Vec<Column<'a>> {
    vec![
        Column::Ids(ends.iter().map(|end| end.id).collect()),
        Column::Numbers(ends.iter().map(|end| end.epoch).collect()),
        Column::MaybeTexts(ends.iter().map(|end| end.outcome).collect()),
        Column::Numbers(ends.iter().map(|end| i64::from(end.is_closing)).collect()),
    ]
}

fn records_to<'a>(records: &[(usize, &'a Record)]) -> Vec<Column<'a>> {
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
