//! The data path's statements on SQLite: row by row, a batch in one transaction.

use binnacle_boot::{clock, database::Sqlite};
use binnacle_domain::operation::{APPLICATION, Outcome};
use chrono::SecondsFormat;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, Statement, params};
use uuid::Uuid;

use super::{
    Accepted, Definitions, Error, Finalization, Finalized,
    commit::{Batch, Outcomes},
    definitions::New as NewDefinition,
    finalize::{columns, outcome, shown},
};
use crate::registry::reads::sqlite::Statements as Applications;

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
pub(super) async fn commit(
    sqlite: &Sqlite,
    batch: &Batch<'_>,
    definitions: &Definitions,
) -> Result<Outcomes, Error> {
    let work = |connection: &Connection| write(connection, batch, definitions).map_err(Error::from);
    let (outcomes, new) = sqlite.transact(work).await?;
    for new in new {
        definitions.learn(new);
    }
    Ok(outcomes)
}

/// Also gives the definitions that are new.
fn write(
    connection: &Connection,
    batch: &Batch<'_>,
    definitions: &Definitions,
) -> rusqlite::Result<(Outcomes, Vec<NewDefinition>)> {
    // As the registry's own statements write it.
    let now = clock::now().to_rfc3339_opts(SecondsFormat::AutoSi, false);
    let mut outcomes = Outcomes::default();
    let mut all_new = Vec::new();
    if !batch.starts.is_empty() {
        let mut acceptor = Acceptor::new(connection, &now)?;
        for start in &batch.starts {
            let target = match acceptor.applications.target(start.application) {
                Err(error) if !matches!(error, rusqlite::Error::SqliteFailure(..)) => {
                    // It is about that row alone. Who reads it apart is told so.
                    outcomes.starts.push(None);
                    continue;
                }
                target => target?,
            };
            let started = match start.accepted(target) {
                Ok((application, mut accepted)) => {
                    let webhooks = &mut accepted.outgoing.spec.webhooks;
                    let (references, new) = definitions.keep_in(connection, webhooks)?;
                    all_new.extend(new);
                    let accepted = accepted.complete(references);
                    acceptor.accept(&accepted)?;
                    Ok(Box::new((application, accepted.outgoing)))
                }
                Err(error) => Err(error),
            };
            outcomes.starts.push(Some(started));
        }
    }
    if !batch.finalizations.is_empty() {
        let mut finalizer = Finalizer::new(connection, &now)?;
        for item in &batch.finalizations {
            if let Some(finalized) = finalizer.finalize(item)? {
                outcomes.finalized.insert(item.id, finalized);
            }
        }
    }
    Ok((outcomes, all_new))
}

/// The statements that acceptances have in common.
struct Acceptor<'c> {
    now: &'c str,
    applications: Applications<'c>,
    mark: CachedStatement<'c>,
    insert: CachedStatement<'c>,
}

impl<'c> Acceptor<'c> {
    fn new(connection: &'c Connection, now: &'c str) -> rusqlite::Result<Self> {
        Ok(Self {
            now,
            applications: Applications::new(connection)?,
            mark: connection.prepare_cached(ACCEPT)?,
            insert: connection.prepare_cached(INSERT)?,
        })
    }

    /// Accepts what was proposed for an application that was read in the same transaction.
    fn accept(&mut self, item: &Accepted) -> rusqlite::Result<()> {
        let (condition, success, failure) = item.conditions;
        self.mark.execute(params![
            item.application.as_bytes(),
            item.id.as_bytes(),
            item.operation_type,
            condition,
            self.now,
        ])?;
        let row = params![
            item.id.as_bytes(),
            item.tenant.as_bytes(),
            APPLICATION,
            item.application.as_bytes(),
            item.operation_type,
            success,
            failure,
            item.spec,
            item.definitions,
        ];
        self.insert.execute(row).map(drop)
    }
}

/// An operation whose outcome is to be applied.
struct Open {
    /// Its row in the outbox.
    row: i64,
    is_delete: bool,
    /// `None`: the resource is deleted.
    success: Option<String>,
    failure: String,
    /// The row of the resource, unless that is gone.
    application: Option<i64>,
    is_current: bool,
}

impl TryFrom<&Row<'_>> for Open {
    type Error = rusqlite::Error;

    fn try_from(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            is_delete: row.get_ref(1)?.as_str()? == "Delete",
            success: row.get(2)?,
            failure: row.get(3)?,
            application: row.get(4)?,
            is_current: row.get(5)?,
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
        let finalized = match open.application {
            None => {
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
            }
            Some(application) if open.is_current => {
                self.finish(&open, &item.outcome)?;
                self.apply(application, &open, &item.outcome)?;
                Finalized::Applied(item.outcome.clone())
            }
            Some(_) => match self.earlier(item.id)? {
                Some(finalized) => finalized,
                None => return Ok(None),
            },
        };
        self.forget.execute((open.row,))?;
        Ok(Some(finalized))
    }

    fn finish(&mut self, open: &Open, outcome: &Outcome) -> rusqlite::Result<()> {
        let (succeeded, error, detail) = columns(outcome);
        let receipt = params![open.row, succeeded, error, detail, self.now];
        self.finish.execute(receipt).map(drop)
    }

    fn apply(&mut self, application: i64, open: &Open, outcome: &Outcome) -> rusqlite::Result<()> {
        let condition = match outcome {
            Outcome::Succeeded => open.success.as_ref(),
            Outcome::Failed { .. } => Some(&open.failure),
        };
        let Some(condition) = condition else {
            let mut delete = self.connection.prepare_cached(DELETE)?;
            return delete.execute((application,)).map(drop);
        };
        let row = params![application, shown(outcome), condition, self.now];
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
