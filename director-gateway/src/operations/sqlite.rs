//! The data path's statements on SQLite: row by row, a batch in one transaction.

use binnacle_boot::{clock, database::Sqlite};
use binnacle_domain::operation::{APPLICATION, Outcome};
use chrono::SecondsFormat;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, Statement, params};
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
pub(super) async fn commit(sqlite: &Sqlite, entries: &[Entry]) -> Result<Outcomes, Error> {
    let work = |connection: &Connection| write(connection, entries).map_err(Error::from);
    sqlite.transact(work).await
}

fn write(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Outcomes> {
    let batch = sort(entries);
    // As the registry's own statements write it.
    let now = clock::now().to_rfc3339_opts(SecondsFormat::AutoSi, false);
    let mut outcomes = Outcomes::default();
    if !batch.accepts.is_empty() {
        accept(connection, &batch.accepts, &now, &mut outcomes)?;
    }
    if !batch.finalizations.is_empty() {
        let mut finalizer = Finalizer::new(connection, &now)?;
        for item in &batch.finalizations {
            if let Some(finalized) = finalizer.finalize(item)? {
                outcomes.finalized(item.id, finalized);
            }
        }
    }
    Ok(outcomes)
}

/// Accepts those whose guard holds.
fn accept(
    connection: &Connection,
    accepts: &[&Accepted],
    now: &str,
    outcomes: &mut Outcomes,
) -> rusqlite::Result<()> {
    let mut mark = connection.prepare_cached(ACCEPT)?;
    let mut insert = connection.prepare_cached(INSERT)?;
    for item in accepts {
        let (condition, success, failure) = item.conditions;
        let template = item.template.as_ref();
        let marked = mark.execute(params![
            item.application.as_bytes(),
            item.tenant.as_bytes(),
            item.revision,
            item.id.as_bytes(),
            item.operation_type,
            condition,
            template.map(|(id, _)| id.as_bytes()),
            template.map(|(_, revision)| revision),
            now,
        ])?;
        if marked == 0 {
            continue;
        }
        insert.execute(params![
            item.id.as_bytes(),
            item.tenant.as_bytes(),
            APPLICATION,
            item.application.as_bytes(),
            item.operation_type,
            success,
            failure,
            item.spec,
            item.definitions,
        ])?;
        outcomes.accepted(item.id);
    }
    Ok(())
}

/// An operation whose outcome is to be applied.
struct Open {
    /// Its row in the outbox.
    row: i64,
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
            row: row.get(0)?,
            is_delete: row.get_ref(1)?.as_str()? == "Delete",
            resource: row.get(2)?,
            success: row.get(3)?,
            failure: row.get(4)?,
            is_resource_gone: row.get(5)?,
            is_current: row.get(6)?,
        })
    }
}

/// The statements that finalizations have in common.
struct Finalizer<'c> {
    connection: &'c Connection,
    now: &'c str,
    find: CachedStatement<'c>,
    finish: CachedStatement<'c>,
    apply: CachedStatement<'c>,
    forget: CachedStatement<'c>,
}

impl<'c> Finalizer<'c> {
    fn new(connection: &'c Connection, now: &'c str) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            now,
            find: connection.prepare_cached(FIND)?,
            finish: connection.prepare_cached(FINISH)?,
            apply: connection.prepare_cached(APPLY)?,
            forget: connection.prepare_cached(FORGET)?,
        })
    }

    /// `None`: nothing is known of it, or the resource carries another operation by now.
    fn finalize(&mut self, item: &Finalization) -> rusqlite::Result<Option<Finalized>> {
        let open: Option<Open> = first(&mut self.find, item.id)?;
        let Some(open) = open else {
            return self.earlier(item.id);
        };
        let finalized = if open.is_resource_gone {
            let outcome = if open.is_delete {
                Outcome::Succeeded
            } else {
                Outcome::Failed {
                    error: "Application not found in director".to_owned(),
                    detail: String::new(),
                }
            };
            self.finish(&open, &outcome)?;
            Finalized::ResourceGone(outcome)
        } else if open.is_current {
            self.finish(&open, &item.outcome)?;
            self.apply(item, &open)?;
            Finalized::Applied(item.outcome.clone())
        } else {
            match self.earlier(item.id)? {
                Some(finalized) => finalized,
                None => return Ok(None),
            }
        };
        self.forget.execute((open.row,))?;
        Ok(Some(finalized))
    }

    fn finish(&mut self, open: &Open, outcome: &Outcome) -> rusqlite::Result<()> {
        let (succeeded, error, detail) = columns(outcome);
        let receipt = params![open.row, succeeded, error, detail, self.now];
        self.finish.execute(receipt).map(drop)
    }

    fn apply(&mut self, item: &Finalization, open: &Open) -> rusqlite::Result<()> {
        let (resource, operation) = (open.resource.as_bytes(), item.id.as_bytes());
        let condition = match item.outcome {
            Outcome::Succeeded => open.success.as_ref(),
            Outcome::Failed { .. } => Some(&open.failure),
        };
        let Some(condition) = condition else {
            let mut delete = self.connection.prepare_cached(DELETE)?;
            return delete.execute((resource, operation)).map(drop);
        };
        let error = shown(&item.outcome);
        let row = params![resource, operation, error, condition, self.now];
        self.apply.execute(row).map(drop)
    }

    fn earlier(&self, id: Uuid) -> rusqlite::Result<Option<Finalized>> {
        let mut receipt = self.connection.prepare_cached(RECEIPT)?;
        let found: Option<(bool, String, String)> = first(&mut receipt, id)?;
        Ok(found.map(|(succeeded, error, detail)| {
            Finalized::AlreadyApplied(outcome(succeeded, error, detail))
        }))
    }
}

/// The row about operation `id`.
fn first<T>(statement: &mut Statement<'_>, id: Uuid) -> rusqlite::Result<Option<T>>
where
    T: for<'r> TryFrom<&'r Row<'r>, Error = rusqlite::Error>,
{
    statement
        .query_row((id.as_bytes(),), |row| T::try_from(row))
        .optional()
}
