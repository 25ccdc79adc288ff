//! Making and removing applications, those of many requests in one transaction. What a batch cannot do is left to
//! a transaction of its own, which knows the reasons.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use binnacle_boot::batch;
use binnacle_boot::database::{Database, begin_immediate, is_conflict};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ColumnType;
use sea_orm::{DbErr, FromQueryResult as _, Iterable, QueryResult};
use serde::Serialize;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{AssertSqlSafe, Row as _, SqlitePool};

use super::change::Draft;
use super::{Entity, Model};
use crate::registry::filter::SCENARIOS;
use crate::registry::held::{Held, Source};
use crate::registry::{label, webhook};

/// Bytes of an application that shares a transaction, at most.
const LARGE: usize = 64 * 1024;

/// Why a batch was not committed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("a row cannot be read")]
    Row(#[source] Arc<DbErr>),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Row(Arc::new(error))
    }
}

impl Failure {
    /// Whether the database has refused the batch, so that nothing of it is committed.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Database(error) if error.as_database_error().is_some())
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Database(error) if is_conflict(error))
    }
}

/// An application to be made: JSON of its rows.
pub(crate) struct New {
    id: Uuid,
    /// What its place in a batch goes by: batches lock in the same order.
    key: (Uuid, String),
    application: String,
    /// Objects with commas in between.
    labels: String,
    webhooks: String,
}

impl New {
    /// `None` if a transaction of its own has to find out what is wrong with it, or if it is large.
    pub(crate) fn of(draft: &Draft) -> Option<Self> {
        let Draft {
            application,
            webhooks,
            labels,
        } = draft;
        let kinds: HashSet<&str> = webhooks.iter().map(|hook| hook.kind.as_str()).collect();
        if labels.contains_key(SCENARIOS) || kinds.len() < webhooks.len() {
            return None;
        }
        let labels = label::rows(label::Owner::Application, application.id, labels.clone()).ok()?;
        let new = Self {
            id: application.id,
            key: (application.tenant_id, application.normalised_name.clone()),
            application: objects(std::slice::from_ref(application))?,
            labels: objects(&labels)?,
            webhooks: objects(webhooks)?,
        };
        let parts = [&new.application, &new.labels, &new.webhooks];
        let is_plain = parts.iter().all(|json| !json.contains("\\u0000"));
        let size: usize = parts.iter().map(|json| json.len()).sum();
        (is_plain && size <= LARGE).then_some(new)
    }
}

fn objects<T: Serialize>(rows: &[T]) -> Option<String> {
    let objects: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
    objects.ok().map(|objects| objects.join(","))
}

fn array<'n>(news: &[&'n New], part: fn(&'n New) -> &'n str) -> String {
    let parts = news.iter().map(|new| part(new));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    format!("[{}]", parts.join(","))
}

/// Makes applications. The answer is whether the name was free.
pub(crate) struct Registrations(Source);

impl Registrations {
    pub(crate) fn new(database: Database) -> Self {
        Self(Source::writing(database))
    }
}

impl batch::Commit for Registrations {
    type Item = New;
    type Answer = bool;
    type Error = Failure;

    async fn commit(&mut self, news: &[New]) -> Result<Vec<bool>, Failure> {
        let mut sorted: Vec<&New> = news.iter().collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        let made = match &mut self.0 {
            Source::Sqlite(sqlite) => insert_sqlite(&sqlite.write, &sorted).await?,
            Source::Postgres(held) => held.insert(&sorted).await?,
        };
        Ok(news.iter().map(|new| made.contains(&new.id)).collect())
    }

    fn is_retryable(&self, failure: &Failure) -> bool {
        failure.is_conflict()
    }
}

impl Held {
    /// Inserts applications and what belongs to them, but for those whose name is taken. Gives the ids of those
    /// that were inserted.
    async fn insert(&mut self, news: &[&New]) -> Result<HashSet<Uuid>, Failure> {
        let mut connection = self.take().await?;
        let rows = sqlx::query(AssertSqlSafe(postgres_insertion()))
            .bind(array(news, |new| &new.application))
            .bind(array(news, |new| &new.labels))
            .bind(array(news, |new| &new.webhooks))
            .fetch_all(&mut *connection)
            .await;
        let is_good = match &rows {
            Ok(_) => true,
            // What somebody asked for breaks a rule; the connection is as good as before.
            Err(error) => is_violation(error),
        };
        if is_good {
            self.keep(connection);
        }
        let ids: Result<_, sqlx::Error> = rows?.iter().map(|row| row.try_get(0)).collect();
        Ok(ids?)
    }
}

fn is_violation(error: &sqlx::Error) -> bool {
    let kind = error.as_database_error().map(DatabaseError::kind);
    kind.is_some_and(|kind| !matches!(kind, ErrorKind::Other))
}

async fn insert_sqlite(pool: &SqlitePool, news: &[&New]) -> Result<HashSet<Uuid>, Failure> {
    let mut transaction = begin_immediate(pool).await?;
    let applications = sqlite_insertion::<Entity>() + " ON CONFLICT DO NOTHING RETURNING id";
    let rows = sqlx::query(AssertSqlSafe(applications))
        .bind(array(news, |new| &new.application))
        .fetch_all(&mut *transaction)
        .await?;
    let made: Result<HashSet<Uuid>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let made = made?;
    let of_made: Vec<&New> = news
        .iter()
        .copied()
        .filter(|new| made.contains(&new.id))
        .collect();
    for (insertion, rows) in [
        (
            sqlite_insertion::<label::entity::Entity>(),
            array(&of_made, |new| &new.labels),
        ),
        (
            sqlite_insertion::<webhook::Entity>(),
            array(&of_made, |new| &new.webhooks),
        ),
    ] {
        sqlx::query(AssertSqlSafe(insertion))
            .bind(rows)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(made)
}

fn names<E: EntityTrait>() -> Vec<&'static str> {
    E::Column::iter().map(|column| column.as_str()).collect()
}

/// Inserts the rows of a JSON array.
fn sqlite_insertion<E: EntityTrait>() -> String {
    let values = E::Column::iter().map(|column| {
        let name = column.as_str();
        match column.def().get_column_type() {
            ColumnType::Uuid => format!("unhex(value->>'{name}', '-')"),
            // As the driver writes it.
            ColumnType::TimestampWithTimeZone => {
                format!("replace(value->>'{name}', 'Z', '+00:00')")
            }
            ColumnType::Json | ColumnType::JsonBinary => format!("value->'{name}'"),
            _ => format!("value->>'{name}'"),
        }
    });
    let values: Vec<String> = values.collect();
    format!(
        "INSERT INTO {} ({}) SELECT {} FROM json_each(?1) WHERE true",
        E::default().as_str(),
        names::<E>().join(", "),
        values.join(", ")
    )
}

/// One statement, and so one transaction: nothing in it waits for a round trip.
fn postgres_insertion() -> String {
    fn insertion<E: EntityTrait>(parameter: u8) -> String {
        let (table, names) = (E::default(), names::<E>().join(", "));
        let table = table.as_str();
        format!(
            "INSERT INTO {table} ({names}) SELECT {names} \
             FROM json_populate_recordset(NULL::{table}, ${parameter}::json)"
        )
    }
    let applications = insertion::<Entity>(1);
    let labels = insertion::<label::entity::Entity>(2);
    let webhooks = insertion::<webhook::Entity>(3);
    let of_made = "WHERE application_id IN (SELECT id FROM made)";
    format!(
        "WITH made AS ({applications} ON CONFLICT DO NOTHING RETURNING id), \
         labelled AS ({labels} {of_made}), hooked AS ({webhooks} {of_made}) SELECT id FROM made"
    )
}

/// An application to be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removal {
    pub tenant: Uuid,
    pub id: Uuid,
}

/// Removes applications without an operation in progress, and gives them as they were. None: there is a reason
/// not to, or somebody else has it in hand.
pub(crate) struct Removals(Source);

impl Removals {
    pub(crate) fn new(database: Database) -> Self {
        Self(Source::writing(database))
    }
}

impl batch::Commit for Removals {
    type Item = Removal;
    type Answer = Option<Box<Model>>;
    type Error = Failure;

    async fn commit(&mut self, removals: &[Removal]) -> Result<Vec<Self::Answer>, Failure> {
        let mut removed = HashMap::with_capacity(removals.len());
        let rows = match &mut self.0 {
            Source::Sqlite(sqlite) => delete_sqlite(&sqlite.write, removals).await?,
            Source::Postgres(held) => held.delete(removals).await?,
        };
        for row in rows {
            let model = Model::from_query_result(&row, "")?;
            removed.insert(model.id, Box::new(model));
        }
        let answers = removals.iter().map(|removal| removed.remove(&removal.id));
        Ok(answers.collect())
    }

    fn is_retryable(&self, failure: &Failure) -> bool {
        failure.is_conflict()
    }
}

impl Held {
    async fn delete(&mut self, removals: &[Removal]) -> Result<Vec<QueryResult>, Failure> {
        const DELETE: &str = "WITH idle AS (SELECT a.id FROM unnest($1::uuid[], $2::uuid[]) \
             AS w (id, tenant_id) JOIN application a ON a.id = w.id AND a.tenant_id = w.tenant_id \
             WHERE a.operation_id IS NULL ORDER BY a.id FOR UPDATE OF a SKIP LOCKED) \
             DELETE FROM application USING idle WHERE application.id = idle.id RETURNING application.*";
        let ids: Vec<Uuid> = removals.iter().map(|it| it.id).collect();
        let tenants: Vec<Uuid> = removals.iter().map(|it| it.tenant).collect();
        let mut connection = self.take().await?;
        let query = sqlx::query(DELETE).bind(ids).bind(tenants);
        let rows = query.fetch_all(&mut *connection).await?;
        self.keep(connection);
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }
}

async fn delete_sqlite(
    pool: &SqlitePool,
    removals: &[Removal],
) -> Result<Vec<QueryResult>, Failure> {
    const DELETE: &str = "DELETE FROM application WHERE id IN (SELECT a.id FROM json_each(?1) w \
         CROSS JOIN application a ON a.id = unhex(w.value->>0) \
         AND a.tenant_id = unhex(w.value->>1) AND a.operation_id IS NULL) RETURNING *";
    let pair = |it: &Removal| [it.id.simple(), it.tenant.simple()];
    let pairs = removals.iter().map(|it| pair(it).map(|id| id.to_string()));
    let pairs = serde_json::json!(pairs.collect::<Vec<_>>()).to_string();
    let rows = sqlx::query(DELETE).bind(pairs).fetch_all(pool).await?;
    Ok(rows.into_iter().map(QueryResult::from).collect())
}
