//! The data path's statements on SQLite: row by row, all of a batch in one visit to the thread that writes.

use std::sync::Arc;

use binnacle_boot::{clock, database::Sqlite};
use binnacle_domain::operation::{APPLICATION, Outcome};
use chrono::SecondsFormat;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};
use uuid::Uuid;

use super::{
    Accepted, Error, Finalization, Finalized,
    commit::{Entry, Outcomes, sort},
    finalize::{columns, outcome, shown},
};

pub(super) const ACCEPT: &str = include_str!("sql/sqlite/accept.sql");
pub(super) const INSERT: &str = include_str!("sql/sqlite/insert.sql");
pub(super) const CLAIM: &str = include_str!("sql/sqlite/claim.sql");
pub(super) const FIND: &str = include_str!("sql/sqlite/find.sql");
pub(super) const FINISH: &str = include_str!("sql/sqlite/finish.sql");
pub(super) const DELETE: &str = include_str!("sql/sqlite/delete.sql");
pub(super) const APPLY: &str = include_str!("sql/sqlite/apply.sql");
pub(super) const FORGET: &str = include_str!("sql/sqlite/forget.sql");
pub(super) const RECEIPT: &str = include_str!("sql/sqlite/receipt.sql");

/// One transaction over the batch: what is accepted, then what is finalized.
pub(super) async fn commit(sqlite: &Sqlite, entries: &Arc<[Entry]>) -> Result<Outcomes, Error> {
    let entries = Arc::clone(entries);
    let work = move |connection: &Connection| write(connection, &entries).map_err(Error::from);
    sqlite.transact(work).await
}

fn write(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Outcomes> {
    let batch = sort(entries);
    // As the registry's own statements write it.
    let now = clock::now().to_rfc3339_opts(SecondsFormat::AutoSi, false);
    let mut outcomes = Outcomes::default();
    for item in &batch.accepts {
        if accept(connection, item, &now)? {
            outcomes.accepted(item.id);
        }
    }
    for item in &batch.finalizations {
        if let Some(finalized) = finalize(connection, item, &now)? {
            outcomes.finalized(item.id, finalized);
        }
    }
    Ok(outcomes)
}

/// Whether the guard held.
fn accept(connection: &Connection, item: &Accepted, now: &str) -> rusqlite::Result<bool> {
    let (condition, success, failure) = item.conditions;
    let template = item.template;
    let marked = execute(
        connection,
        ACCEPT,
        params![
            item.application,
            item.tenant,
            item.revision,
            item.id,
            item.operation_type,
            condition,
            template.map(|(id, _)| id),
            template.map(|(_, revision)| revision),
            now,
        ],
    )?;
    if marked == 0 {
        return Ok(false);
    }
    let outbox = params![
        item.id,
        item.tenant,
        APPLICATION,
        item.application,
        item.operation_type,
        success,
        failure,
        item.spec,
        item.definitions,
    ];
    execute(connection, INSERT, outbox)?;
    Ok(true)
}

/// An operation whose outcome is to be applied.
struct Open {
    is_delete: bool,
    resource: Uuid,
    /// `None`: the resource is deleted.
    success: Option<String>,
    failure: String,
    is_resource_gone: bool,
    is_current: bool,
}

impl TryFrom<&Row<'_>> for Open {
    type Error = rusqlite::Error;

    fn try_from(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            is_delete: row.get_ref(0)?.as_str()? == "Delete",
            resource: row.get(1)?,
            success: row.get(2)?,
            failure: row.get(3)?,
            is_resource_gone: row.get(4)?,
            is_current: row.get(5)?,
        })
    }
}

/// `None`: nothing is known of it, or the resource carries another operation by now.
fn finalize(
    connection: &Connection,
    item: &Finalization,
    now: &str,
) -> rusqlite::Result<Option<Finalized>> {
    let finalized = match first::<Open>(connection, FIND, item.id)? {
        Some(open) if open.is_resource_gone => {
            let outcome = if open.is_delete {
                Outcome::Succeeded
            } else {
                Outcome::Failed {
                    error: "Application not found in director".to_owned(),
                    detail: String::new(),
                }
            };
            finish(connection, item.id, &outcome, now)?;
            Some(Finalized::ResourceGone(outcome))
        }
        Some(open) if open.is_current => {
            finish(connection, item.id, &item.outcome, now)?;
            apply(connection, item, &open, now)?;
            Some(Finalized::Applied(item.outcome.clone()))
        }
        _ => earlier(connection, item.id)?.map(Finalized::AlreadyApplied),
    };
    if finalized.is_some() {
        execute(connection, FORGET, (item.id,))?;
    }
    Ok(finalized)
}

fn finish(connection: &Connection, id: Uuid, outcome: &Outcome, now: &str) -> rusqlite::Result<()> {
    let (succeeded, error, detail) = columns(outcome);
    let receipt = params![id, succeeded, error, detail, now];
    execute(connection, FINISH, receipt).map(drop)
}

fn apply(
    connection: &Connection,
    item: &Finalization,
    open: &Open,
    now: &str,
) -> rusqlite::Result<()> {
    let condition = match item.outcome {
        Outcome::Succeeded => open.success.as_ref(),
        Outcome::Failed { .. } => Some(&open.failure),
    };
    let Some(condition) = condition else {
        return execute(connection, DELETE, (open.resource, item.id)).map(drop);
    };
    let row = params![open.resource, item.id, shown(&item.outcome), condition, now];
    execute(connection, APPLY, row).map(drop)
}

fn earlier(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Outcome>> {
    let receipt: Option<(bool, String, String)> = first(connection, RECEIPT, id)?;
    Ok(receipt.map(|(succeeded, error, detail)| outcome(succeeded, error, detail)))
}

fn execute(
    connection: &Connection,
    sql: &'static str,
    values: impl Params,
) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

/// The row about operation `id`.
fn first<T>(connection: &Connection, sql: &'static str, id: Uuid) -> rusqlite::Result<Option<T>>
where
    T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
{
    let mut statement = connection.prepare_cached(sql)?;
    statement
        .query_row((id,), |row| T::try_from(row))
        .optional()
}
