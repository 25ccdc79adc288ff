//! The data path's statements on PostgreSQL: arrays in, one statement per kind of entry.

use binnacle_boot::{clock, database};
use binnacle_domain::operation::APPLICATION;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Accepted, Error, Finalization, Finalized,
    commit::{Batch, Outcomes},
    finalize::{columns, outcome, shown},
};

pub(super) const INSERT: &str = include_str!("sql/postgres/insert.sql");
pub(super) const CLAIM: &str = include_str!("sql/postgres/claim.sql");
const ACCEPT: &str = include_str!("sql/postgres/accept.sql");
const FINALIZE: &str = include_str!("sql/postgres/finalize.sql");
const RECEIPTS: &str = include_str!("sql/postgres/receipts.sql");

type Receipt = (Uuid, bool, String, String);

/// One transaction. A batch of one kind is a single statement, which needs no `BEGIN`.
pub(super) async fn commit(pool: &PgPool, batch: &Batch<'_>) -> Result<Outcomes, Error> {
    let mut outcomes = Outcomes::default();
    if batch.finalizations.is_empty() {
        let mut connection = pool.acquire().await?;
        accept(&mut connection, &batch.accepts, &mut outcomes).await?;
        return Ok(outcomes);
    }
    let mut transaction = database::begin(pool).await?;
    if !batch.accepts.is_empty() {
        accept(&mut transaction, &batch.accepts, &mut outcomes).await?;
    }
    finalize(&mut transaction, &batch.finalizations, &mut outcomes).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

async fn accept(
    connection: &mut PgConnection,
    items: &[&Accepted],
    outcomes: &mut Outcomes,
) -> Result<(), sqlx::Error> {
    fn column<'a, T>(items: &[&'a Accepted], value: impl Fn(&'a Accepted) -> T) -> Vec<T> {
        items.iter().map(|item| value(item)).collect()
    }
    let accepted: Vec<Uuid> = sqlx::query_scalar(ACCEPT)
        .bind(column(items, |i| i.application))
        .bind(column(items, |i| i.tenant))
        .bind(column(items, |i| i.revision))
        .bind(column(items, |i| i.id))
        .bind(column(items, |i| i.operation_type))
        .bind(column(items, |i| i.conditions.0))
        .bind(column(items, |i| i.template.map(|(id, _)| id)))
        .bind(column(items, |i| i.template.map(|(_, revision)| revision)))
        .bind(clock::now())
        .bind(column(items, |i| i.conditions.1))
        .bind(column(items, |i| i.conditions.2))
        .bind(column(items, |i| i.spec.as_slice()))
        .bind(column(items, |i| i.definitions.as_slice()))
        .bind(column(items, |_| APPLICATION))
        .fetch_all(connection)
        .await?;
    outcomes.accepted.extend(accepted);
    Ok(())
}

async fn finalize(
    connection: &mut PgConnection,
    items: &[&Finalization],
    outcomes: &mut Outcomes,
) -> Result<(), sqlx::Error> {
    let columns: Vec<_> = items.iter().map(|item| columns(&item.outcome)).collect();
    let rows: Vec<(Uuid, bool, bool, String, String)> = sqlx::query_as(FINALIZE)
        .bind(items.iter().map(|item| item.id).collect::<Vec<_>>())
        .bind(
            columns
                .iter()
                .map(|(succeeded, _, _)| *succeeded)
                .collect::<Vec<_>>(),
        )
        .bind(
            columns
                .iter()
                .map(|(_, error, _)| *error)
                .collect::<Vec<_>>(),
        )
        .bind(
            columns
                .iter()
                .map(|(_, _, detail)| *detail)
                .collect::<Vec<_>>(),
        )
        .bind(
            items
                .iter()
                .map(|item| shown(&item.outcome))
                .collect::<Vec<_>>(),
        )
        .bind(clock::now())
        .fetch_all(&mut *connection)
        .await?;
    for (id, applied, succeeded, error, detail) in rows {
        let outcome = outcome(succeeded, error, detail);
        let finalized = if applied {
            Finalized::Applied(outcome)
        } else {
            Finalized::ResourceGone(outcome)
        };
        outcomes.finalized.insert(id, finalized);
    }
    let rest: Vec<Uuid> = items
        .iter()
        .map(|item| item.id)
        .filter(|id| !outcomes.finalized.contains_key(id))
        .collect();
    if rest.is_empty() {
        return Ok(());
    }
    let rows: Vec<Receipt> = sqlx::query_as(RECEIPTS)
        .bind(rest)
        .fetch_all(&mut *connection)
        .await?;
    for (id, succeeded, error, detail) in rows {
        let outcome = outcome(succeeded, error, detail);
        outcomes
            .finalized
            .insert(id, Finalized::AlreadyApplied(outcome));
    }
    Ok(())
}
