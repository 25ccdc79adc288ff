//! The data path's statements on PostgreSQL: arrays in, one statement per kind of entry.

use std::sync::LazyLock;

use binnacle_boot::clock;
use binnacle_domain::operation::APPLICATION;
use sqlx::{Connection as _, PgConnection, PgPool};
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

/// One transaction. A batch of acceptances is a single statement, which needs no `BEGIN`.
pub(super) async fn commit(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<Outcomes, Error> {
    let mut outcomes = Outcomes::default();
    if batch.finalizations.is_empty() {
        outcomes
            .accepted
            .extend(accept(connection, ACCEPT, &batch.accepts).await?);
        return Ok(outcomes);
    }
    let mut transaction = connection.begin().await?;
    if !batch.accepts.is_empty() {
        outcomes
            .accepted
            .extend(accept(&mut transaction, ACCEPT, &batch.accepts).await?);
    }
    finalize(&mut transaction, &batch.finalizations, &mut outcomes).await?;
    transaction.commit().await?;
    Ok(outcomes)
}

/// One acceptance that waits for whoever holds its row. Apart from the batches, which it must not hold up.
pub(super) async fn accept_waiting(pool: &PgPool, item: &Accepted) -> Result<bool, Error> {
    static WAITING: LazyLock<String> = LazyLock::new(|| ACCEPT.replace("SKIP LOCKED", ""));
    let mut connection = pool.acquire().await?;
    let accepted = accept(&mut connection, &WAITING, &[item]).await?;
    Ok(!accepted.is_empty())
}

async fn accept(
    connection: &mut PgConnection,
    statement: &'static str,
    items: &[&Accepted],
) -> Result<Vec<Uuid>, sqlx::Error> {
    fn column<'a, T>(items: &[&'a Accepted], value: impl Fn(&'a Accepted) -> T) -> Vec<T> {
        items.iter().map(|item| value(item)).collect()
    }
    sqlx::query_scalar(statement)
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
        .await
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
