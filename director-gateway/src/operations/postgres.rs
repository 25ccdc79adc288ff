//! The data path's statements on PostgreSQL: arrays in, one statement for a batch.

use std::collections::HashSet;

use binnacle_boot::{clock, database::Kept};
use binnacle_domain::operation::APPLICATION;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Accepted, Definitions, Error, Finalization, Finalized,
    commit::{Batch, Outcomes, Start},
    finalize::{columns, outcome, shown},
};
use crate::registry::{application::Model, reads};

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

/// What was done about an operation.
#[derive(sqlx::FromRow)]
struct Done {
    kind: i64,
    operation: Uuid,
    succeeded: bool,
    error: String,
    detail: String,
}

const ACCEPTED: i64 = 1;
const APPLIED: i64 = 2;

impl Done {
    fn finalized(self) -> Finalized {
        let outcome = outcome(self.succeeded, self.error, self.detail);
        match self.kind {
            APPLIED => Finalized::Applied(outcome),
            _ => Finalized::ResourceGone(outcome),
        }
    }
}

/// What is proposed for an application as it was read, and the position of its start.
struct Proposed {
    at: usize,
    application: Model,
    accepted: Accepted,
}

/// One transaction, which is one statement, before it a look at what there is of the applications, and after it one at
/// what was finalized before.
pub(super) async fn commit(
    connection: &mut PgConnection,
    batch: &Batch<'_>,
    definitions: &Definitions,
) -> Result<Outcomes, Error> {
    let mut outcomes = Outcomes::default();
    let proposed = propose(connection, &batch.starts, definitions, &mut outcomes).await?;
    if proposed.is_empty() && batch.finalizations.is_empty() {
        return Ok(outcomes);
    }
    let accepts: Vec<_> = proposed.iter().map(|proposed| &proposed.accepted).collect();
    let done = write(connection, &accepts, &batch.finalizations, false).await?;
    let mut accepted = HashSet::new();
    for done in done {
        if done.kind == ACCEPTED {
            accepted.insert(done.operation);
        } else {
            outcomes.finalized.insert(done.operation, done.finalized());
        }
    }
    for proposed in proposed {
        let Proposed {
            at,
            application,
            accepted: Accepted { id, outgoing, .. },
        } = proposed;
        if accepted.contains(&id) {
            outcomes.starts[at] = Some(Ok(Box::new((application, outgoing))));
        }
    }
    let rest: Vec<Uuid> = batch.unanswered(&outcomes).map(|item| item.id).collect();
    if !rest.is_empty() {
        let query = sqlx::query_as(RECEIPTS).bind(rest);
        outcomes.earlier(query.fetch_all(connection).await?);
    }
    Ok(outcomes)
}

/// What is to be accepted, one for each application and in their order, in which every replica takes locks. Of several
/// for one application the others are left to their callers' next try.
async fn propose(
    connection: &mut PgConnection,
    starts: &[&Start],
    definitions: &Definitions,
    outcomes: &mut Outcomes,
) -> Result<Vec<Proposed>, Error> {
    if starts.is_empty() {
        return Ok(Vec::new());
    }
    let ids: HashSet<Uuid> = starts.iter().map(|start| start.application).collect();
    let mut targets = reads::targets(connection, &ids).await?;
    let mut all = Vec::with_capacity(starts.len());
    let mut waiting = ids;
    for (at, start) in starts.iter().enumerate() {
        if !waiting.remove(&start.application) {
            outcomes.starts.push(None);
            continue;
        }
        match start.accepted(targets.remove(&start.application)) {
            Ok((application, mut accepted)) => {
                let webhooks = &mut accepted.outgoing.spec.webhooks;
                let references = definitions.keep(webhooks).await?;
                all.push(Proposed {
                    at,
                    application,
                    accepted: accepted.complete(references),
                });
                outcomes.starts.push(None);
            }
            Err(error) => outcomes.starts.push(Some(Err(error))),
        }
    }
    all.sort_unstable_by_key(|proposed| proposed.application.id);
    Ok(all)
}

/// One acceptance that waits for whoever holds its row. Apart from the batches, which it must not hold up.
pub(super) async fn accept_waiting(pool: &PgPool, item: &Accepted) -> Result<bool, Error> {
    // Boxed: it is 14 KB, and whoever awaits this would be as large and moved from layer to layer.
    let mut connection = Box::pin(pool.acquire()).await?;
    let done = write(&mut connection, &[item], &[], true).await?;
    Ok(!done.is_empty())
}

async fn write(
    connection: &mut PgConnection,
    accepts: &[&Accepted],
    ends: &[&Finalization],
    is_waiting: bool,
) -> Result<Vec<Done>, sqlx::Error> {
    fn column<'a, I, T>(items: &[&'a I], value: impl Fn(&'a I) -> T) -> Vec<T> {
        items.iter().map(|item| value(item)).collect()
    }
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
