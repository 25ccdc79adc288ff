//! The data path's statements on SQLite: lists in, one visit to its thread for a batch.

use binnacle_boot::{
    clock,
    database::{Sqlite, or_roll_back},
};
use binnacle_domain::operation::APPLICATION;
use serde_json::json;
use uuid::Uuid;

use super::{
    Accepted, Error, Finalization,
    commit::{Batch, Done, Outcomes},
    finalize::{columns, shown},
};

pub(super) const INSERT: &str = include_str!("sql/sqlite/insert.sql");
pub(super) const CLAIM: &str = include_str!("sql/sqlite/claim.sql");
pub(super) const WRITE: &str = include_str!("sql/sqlite/write.sql");
pub(super) const RECEIPTS: &str = include_str!("sql/sqlite/receipts.sql");

/// One transaction over the batch, and a look at what was finalized before.
pub(super) async fn commit(sqlite: &Sqlite, batch: &Batch<'_>) -> Result<Outcomes, Error> {
    let mut bytes = Vec::new();
    let accepts: Vec<_> = batch
        .accepts
        .iter()
        .map(|item| accept(item, &mut bytes))
        .collect();
    let ends: Vec<_> = batch.finalizations.iter().map(|item| end(item)).collect();
    let mut connection = sqlite.write.acquire().await?;
    let done: Result<Vec<Done>, _> = sqlx::query_as(WRITE)
        .bind(json!(accepts).to_string())
        .bind(bytes)
        .bind(json!(ends).to_string())
        .bind(clock::now())
        .fetch_all(&mut *connection)
        .await;
    let mut outcomes = Outcomes::new(or_roll_back(&mut connection, done).await?);
    let rest: Vec<_> = batch
        .unanswered(&outcomes)
        .map(|item| hexadecimal(item.id))
        .collect();
    if rest.is_empty() {
        return Ok(outcomes);
    }
    let rows: Vec<(Uuid, bool, String, String)> = sqlx::query_as(RECEIPTS)
        .bind(json!(rest).to_string())
        .fetch_all(&mut *connection)
        .await?;
    outcomes.earlier(rows);
    Ok(outcomes)
}

/// SQLite's JSON has no form for bytes: ids are hexadecimal, and what is long goes to `bytes`.
fn accept(item: &Accepted, bytes: &mut Vec<u8>) -> serde_json::Value {
    let mut place = |part: &[u8]| {
        let start = bytes.len() + 1;
        bytes.extend_from_slice(part);
        (start, part.len())
    };
    let (spec, definitions) = (place(&item.spec), place(&item.definitions));
    json!([
        hexadecimal(item.application),
        hexadecimal(item.tenant),
        item.revision,
        hexadecimal(item.id),
        item.operation_type,
        item.conditions.0,
        item.template.map(|(id, _)| hexadecimal(id)),
        item.template.map(|(_, revision)| revision),
        item.conditions.1,
        item.conditions.2,
        APPLICATION,
        spec.0,
        spec.1,
        definitions.0,
        definitions.1,
    ])
}

fn end(item: &Finalization) -> serde_json::Value {
    let (succeeded, error, detail) = columns(&item.outcome);
    let succeeded = u8::from(succeeded);
    json!([
        hexadecimal(item.id),
        succeeded,
        error,
        detail,
        shown(&item.outcome)
    ])
}

fn hexadecimal(id: Uuid) -> String {
    id.simple().to_string()
}
