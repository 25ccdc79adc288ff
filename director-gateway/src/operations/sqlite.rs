//! The data path's statements on SQLite: prepared, one transaction per batch.

use binnacle_boot::{
    clock,
    database::{Sqlite, begin_immediate},
};
use binnacle_domain::operation::{APPLICATION, Outcome};
use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    Accepted, Error, Finalization, Finalized,
    commit::{Batch, Outcomes},
    finalize::{NOT_FOUND, columns, outcome, shown},
};

pub(super) const INSERT: &str = include_str!("sql/sqlite/insert.sql");
pub(super) const CLAIM: &str = include_str!("sql/sqlite/claim.sql");
const MARK: &str = include_str!("sql/sqlite/mark.sql");
const OUTBOX: &str = include_str!("sql/sqlite/outbox.sql");
const APPLY: &str = include_str!("sql/sqlite/apply.sql");
const RECEIPT: &str = include_str!("sql/sqlite/receipt.sql");

/// One transaction over the batch.
pub(super) async fn commit(sqlite: &Sqlite, batch: &Batch<'_>) -> Result<Outcomes, Error> {
    let mut outcomes = Outcomes::default();
    let now = clock::now();
    let mut transaction = begin_immediate(&sqlite.write).await?;
    for item in &batch.accepts {
        if accept(&mut transaction, item, now).await? {
            outcomes.accepted.insert(item.id);
        }
    }
    for item in &batch.finalizations {
        let finalized = finalize(&mut transaction, item, now).await?;
        outcomes.finalized.insert(item.id, finalized);
    }
    transaction.commit().await?;
    Ok(outcomes)
}

async fn accept(
    connection: &mut SqliteConnection,
    item: &Accepted,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let marked = sqlx::query(MARK)
        .bind(item.application)
        .bind(item.tenant)
        .bind(item.revision)
        .bind(item.id)
        .bind(item.operation_type)
        .bind(item.conditions.0)
        .bind(item.template.map(|(id, _)| id))
        .bind(item.template.map(|(_, revision)| revision))
        .bind(now)
        .execute(&mut *connection)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(INSERT)
        .bind(item.id)
        .bind(item.tenant)
        .bind(APPLICATION)
        .bind(item.application)
        .bind(item.operation_type)
        .bind(item.conditions.1)
        .bind(item.conditions.2)
        .bind(item.spec.as_slice())
        .bind(item.definitions.as_slice())
        .execute(connection)
        .await?;
    Ok(true)
}

/// A row of the outbox with what its resource carries.
#[derive(sqlx::FromRow)]
struct Row {
    tenant_id: Uuid,
    resource_type: String,
    resource_id: Uuid,
    operation_type: String,
    success_condition: Option<String>,
    failure_condition: String,
    exists: bool,
    carries: Option<Uuid>,
}

async fn finalize(
    connection: &mut SqliteConnection,
    item: &Finalization,
    now: DateTime<Utc>,
) -> Result<Finalized, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(OUTBOX)
        .bind(item.id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return earlier(connection, item.id).await;
    };
    if row.exists && row.carries != Some(item.id) {
        return Ok(Finalized::Unknown);
    }
    let finalized = if row.exists {
        apply(connection, &row, &item.outcome, now).await?;
        Finalized::Applied(item.outcome.clone())
    } else if row.operation_type == "Delete" {
        Finalized::ResourceGone(Outcome::Succeeded)
    } else {
        let error = NOT_FOUND.to_owned();
        Finalized::ResourceGone(Outcome::Failed {
            error,
            detail: String::new(),
        })
    };
    if let Finalized::Applied(outcome) | Finalized::ResourceGone(outcome) = &finalized {
        receipt(connection, item.id, &row, outcome, now).await?;
    }
    Ok(finalized)
}

async fn earlier(connection: &mut SqliteConnection, id: Uuid) -> Result<Finalized, sqlx::Error> {
    const SELECT: &str = "SELECT succeeded, error, detail FROM receipt WHERE operation_id = ?1";
    let receipt: Option<(bool, String, String)> = sqlx::query_as(SELECT)
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(
        receipt.map_or(Finalized::Unknown, |(succeeded, error, detail)| {
            Finalized::AlreadyApplied(outcome(succeeded, error, detail))
        }),
    )
}

async fn apply(
    connection: &mut SqliteConnection,
    row: &Row,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    const DELETE: &str = "DELETE FROM application WHERE id = ?1";
    let condition = match (outcome, &row.success_condition) {
        (Outcome::Succeeded, None) => {
            return sqlx::query(DELETE)
                .bind(row.resource_id)
                .execute(connection)
                .await
                .map(drop);
        }
        (Outcome::Succeeded, Some(condition)) => condition,
        (Outcome::Failed { .. }, _) => &row.failure_condition,
    };
    let query = sqlx::query(APPLY)
        .bind(row.resource_id)
        .bind(condition)
        .bind(shown(outcome));
    query.bind(now).execute(connection).await.map(drop)
}

async fn receipt(
    connection: &mut SqliteConnection,
    id: Uuid,
    row: &Row,
    outcome: &Outcome,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    const CLEAR: &str = "DELETE FROM outbox WHERE operation_id = ?1";
    let (succeeded, error, detail) = columns(outcome);
    sqlx::query(RECEIPT)
        .bind(id)
        .bind(row.tenant_id)
        .bind(&row.resource_type)
        .bind(row.resource_id)
        .bind(&row.operation_type)
        .bind(succeeded)
        .bind(error)
        .bind(detail)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    sqlx::query(CLEAR)
        .bind(id)
        .execute(connection)
        .await
        .map(drop)
}
