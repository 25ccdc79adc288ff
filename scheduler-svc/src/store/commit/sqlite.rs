//! A batch on SQLite: row by row, on the thread that writes.

use std::future::{Future, ready};

use rusqlite::{Connection, OptionalExtension as _, Statement as Prepared, params};

use super::{
    Record, Release, Save,
    transaction::{End, Kind, Row, Transaction, Work, Written},
};
use crate::store::{
    Error,
    sql::{Column, Value},
    statement::{Statement, row},
    stored::{kind_name, result_name},
};

/// A transaction on SQLite. What it is asked for is done when it is asked: nothing is waited for.
pub(super) struct Sqlite<'a>(pub(super) &'a Connection);

impl Transaction for Sqlite<'_> {
    fn run<T: Row>(
        &mut self,
        statement: Statement,
        columns: &[Column<'_>],
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<T>, Error>> + Send {
        ready(run(self.0, statement.sqlite, columns, values).map_err(Error::from))
    }

    fn write(
        &mut self,
        work: Work<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Vec<Written>, Error>> + Send {
        ready(write(self.0, work, now).map_err(Error::from))
    }
}

/// Runs the statements of `sql` for each row of `columns`, or once if there are none.
fn run<T: Row>(
    connection: &Connection,
    sql: &'static str,
    columns: &[Column<'_>],
    values: &[Value<'_>],
) -> rusqlite::Result<Vec<T>> {
    let mut found = Vec::new();
    for sql in sql.split(";\n") {
        let mut statement = connection.prepare_cached(sql)?;
        for at in 0..columns.first().map_or(1, Column::len) {
            let given = columns.iter().map(|column| column.at(at));
            let given = given.chain(values.iter().map(|value| value as &dyn rusqlite::ToSql));
            for (index, value) in (1..=statement.parameter_count()).zip(given) {
                statement.raw_bind_parameter(index, value)?;
            }
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                found.push(T::try_from(row)?);
            }
        }
    }
    Ok(found)
}

fn write(connection: &Connection, work: Work<'_>, now: i64) -> rusqlite::Result<Vec<Written>> {
    let Work {
        saves,
        releases,
        ends,
        records,
    } = work;
    let mut written = Vec::new();
    write_saves(connection, saves, now, &mut written)?;
    write_releases(connection, releases, now, &mut written)?;
    write_ends(connection, ends, now, &mut written)?;
    write_records(connection, records, &mut written)?;
    Ok(written)
}

fn write_saves(
    connection: &Connection,
    saves: &[(usize, &Save)],
    now: i64,
    written: &mut Vec<Written>,
) -> rusqlite::Result<()> {
    if saves.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(row::SAVE)?;
    let mut attempt = connection.prepare_cached(row::ATTEMPT)?;
    for (_, save) in saves {
        let Save {
            id,
            epoch,
            version,
            webhooks,
            outcome,
            release_for,
            attempts: _,
        } = save;
        let hits = statement.execute(params![
            id.0.as_bytes(),
            epoch,
            version,
            webhooks,
            outcome,
            now
        ])?;
        if hits == 0 {
            continue;
        }
        if let Some(release_for) = release_for {
            let mut let_go = connection.prepare_cached(row::LET_GO)?;
            let_go.execute((id.0, now.saturating_add(*release_for)))?;
        }
        write_attempts(&mut attempt, save)?;
        written.push((Kind::Saved, id.0, version + 1));
    }
    Ok(())
}

fn write_attempts(statement: &mut Prepared<'_>, save: &Save) -> rusqlite::Result<()> {
    for attempt in &save.attempts {
        let exchange = &attempt.exchange;
        statement.execute(params![
            save.id.0.as_bytes(),
            attempt.webhook_id.as_bytes(),
            attempt.number,
            attempt.count,
            kind_name(attempt.kind),
            result_name(attempt.result),
            exchange.started_at.timestamp_micros(),
            exchange.ended_at.timestamp_micros(),
            exchange.status_code,
            exchange.request,
            exchange.response,
            attempt.error,
            attempt.next_attempt_at.map(|at| at.timestamp_micros()),
        ])?;
    }
    Ok(())
}

fn write_releases(
    connection: &Connection,
    releases: &[(usize, &Release)],
    now: i64,
    written: &mut Vec<Written>,
) -> rusqlite::Result<()> {
    for (_, release) in releases {
        let mut statement = connection.prepare_cached(row::RELEASE)?;
        let (id, due_at) = (release.id.0, now.saturating_add(release.retry_in));
        let given = params![id, release.epoch, release.holder(), due_at, now];
        let version = statement.query_row(given, |row| row.get(0)).optional()?;
        written.extend(version.map(|version| (Kind::Released, id, version)));
    }
    Ok(())
}

fn write_ends(
    connection: &Connection,
    ends: &[End<'_>],
    now: i64,
    written: &mut Vec<Written>,
) -> rusqlite::Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached(row::END)?;
    let mut ended = connection.prepare_cached(row::ENDED)?;
    let mut close = connection.prepare_cached(row::CLOSE)?;
    for end in ends {
        let hits = insert.execute(params![
            end.id.as_bytes(),
            end.epoch,
            end.outcome,
            end.is_closing,
            now
        ])?;
        close.execute((end.id.as_bytes(), hits > 0))?;
        if hits > 0 {
            let version = ended.query_row((connection.last_insert_rowid(),), |row| row.get(0))?;
            written.push((Kind::Ended, end.id, version));
        }
    }
    Ok(())
}

fn write_records(
    connection: &Connection,
    records: &[(usize, &Record)],
    written: &mut Vec<Written>,
) -> rusqlite::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(row::RECORD)?;
    for (_, record) in records {
        let inserted = statement.execute(params![
            record.id.0.as_bytes(),
            record.tenant.as_bytes(),
            record.resource.kind,
            record.resource.id.as_bytes(),
            record.destination,
            record.spec,
            record.webhooks,
            record.holder.is_some(),
            record.holder.unwrap_or_default().as_bytes(),
            record.now,
        ])?;
        if inserted > 0 {
            written.push((Kind::Recorded, record.id.0, 1));
        }
    }
    Ok(())
}
