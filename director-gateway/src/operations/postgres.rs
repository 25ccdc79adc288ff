//! The data path's statements on PostgreSQL: arrays in, one statement for a batch.

use binnacle_boot::{clock, database::Kept};
use binnacle_domain::operation::APPLICATION;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Accepted, Error, Finalization,
    commit::{Batch, Done, Outcomes},
    finalize::{columns, shown},
};

pub(super) const INSERT: &str = include_str!("sql/postgres/insert.sql");
pub(super) const CLAIM: &str = include_str!("sql/postgres/claim.sql");
pub(super) const WRITE: &str = include_str!("sql/postgres/write.sql");
pub(super) const RECEIPTS: &str = include_str!("sql/postgres/receipts.sql");

/// The planner knows nothing about a table that was empty a moment ago; whatever it thinks of its size, a statement
/// goes by an index. It is not worth planning for each batch.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// A connection for the data path.
pub(super) fn kept() -> Kept {
    Kept::new(SETTINGS)
}

/// One transaction, which is one statement, and a look at what was finalized before.
pub(super) async fn commit(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
) -> Result<Outcomes, Error> {
    let done = write(connection, batch, false).await?;
    let mut outcomes = Outcomes::new(done);
    let rest: Vec<Uuid> = batch.unanswered(&outcomes).map(|item| item.id).collect();
    if rest.is_empty() {
        return Ok(outcomes);
    }
    let rows: Vec<(Uuid, bool, String, String)> = sqlx::query_as(RECEIPTS)
        .bind(rest)
        .fetch_all(connection)
        .await?;
    outcomes.earlier(rows);
    Ok(outcomes)
}

/// One acceptance that waits for whoever holds its row. Apart from the batches, which it must not hold up.
pub(super) async fn accept_waiting(pool: &PgPool, item: &Accepted) -> Result<bool, Error> {
    let batch = Batch {
        accepts: vec![item],
        finalizations: Vec::new(),
    };
    // Boxed: it is 14 KB, and whoever awaits this would be as large and moved from layer to layer.
    let mut connection = Box::pin(pool.acquire()).await?;
    let done = write(&mut connection, &batch, true).await?;
    Ok(!done.is_empty())
}

async fn write(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    is_waiting: bool,
) -> Result<Vec<Done>, sqlx::Error> {
    fn column<'a, I, T>(items: &[&'a I], value: impl Fn(&'a I) -> T) -> Vec<T> {
        items.iter().map(|item| value(item)).collect()
    }
    let (accepts, ends) = (batch.accepts.as_slice(), batch.finalizations.as_slice());
    sqlx::query_as(WRITE)
        .bind(column(accepts, |i: &Accepted| i.application))
        .bind(column(accepts, |_| APPLICATION))
        .bind(column(accepts, |i| i.tenant))
        .bind(column(accepts, |i| i.revision))
        .bind(column(accepts, |i| i.id))
        .bind(column(accepts, |i| i.operation_type))
        .bind(column(accepts, |i| i.conditions.0))
        .bind(column(accepts, |i| i.template.map(|(id, _)| id)))
        .bind(column(accepts, |i| {
            i.template.map(|(_, revision)| revision)
        }))
        .bind(column(accepts, |i| i.conditions.1))
        .bind(column(accepts, |i| i.conditions.2))
        .bind(column(accepts, |i| i.spec.as_slice()))
        .bind(column(accepts, |i| i.definitions.as_slice()))
        .bind(is_waiting)
        .bind(column(ends, |i: &Finalization| i.id))
        .bind(column(ends, |i| columns(&i.outcome).0))
        .bind(column(ends, |i| columns(&i.outcome).1))
        .bind(column(ends, |i| columns(&i.outcome).2))
        .bind(column(ends, |i| shown(&i.outcome)))
        .bind(clock::now())
        .fetch_all(connection)
        .await
}
