//! Pages of operations, over both tables.
//!
//! Paging goes by id, which is unique and never changes, so no page repeats or leaves out an operation. Ids are
//! made in the order of time, so larger ones are newer.

use std::fmt::Write as _;

use binnacle_boot::database::Database;
use sqlx::{AssertSqlSafe, query::QueryAs};
use uuid::Uuid;

use super::{Error, stored::OperationRow};

const COLUMNS: &str =
    "id, tenant, resource_type, resource_id, spec, webhooks, outcome, version, epoch, recorded_at";

/// Holds of every open operation. The index `operation_tenant` is for those who say so.
const INDEXED: &str = " AND recorded_at > 0";

/// Which operations by their phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Any,
    InProgress,
    Finalizing,
    Succeeded,
    Failed,
}

/// Which operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) phase: Phase,
    pub(crate) resource: Option<Uuid>,
    pub(crate) tenant: Option<Uuid>,
}

impl Phase {
    /// The condition in each table; `None`: none of it.
    fn conditions(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Any => (Some(""), Some("")),
            Self::InProgress => (Some(" AND outcome IS NULL"), None),
            Self::Finalizing => (Some(" AND outcome IS NOT NULL"), None),
            Self::Succeeded => (None, Some(" AND succeeded")),
            Self::Failed => (None, Some(" AND NOT succeeded")),
        }
    }
}

/// One statement per combination of filters, so that each goes by an index of its own: `$1` bounds the id, `$2`
/// the page, and then come those of `$3` resource and tenant that are given.
pub(super) fn sql(filter: &Filter) -> String {
    let mut given = String::new();
    let mut next = 3;
    for (column, value) in [("resource_id", filter.resource), ("tenant", filter.tenant)] {
        if value.is_some() {
            // Writing into a string does not fail.
            let _ = write!(given, " AND {column} = ${next}");
            next += 1;
        }
    }
    let part = |table: &str, times: &str, condition: &str| {
        format!(
            "SELECT * FROM (SELECT {COLUMNS}, {times} FROM {table} \
             WHERE id < $1{given}{condition} ORDER BY id DESC LIMIT $2) AS page_of_{table}"
        )
    };
    let (open, done) = filter.phase.conditions();
    let open = open.map(|c| {
        part(
            "operation",
            "updated_at, CAST(NULL AS bigint) AS done_at",
            &format!("{INDEXED}{c}"),
        )
    });
    let done = done.map(|c| part("operation_done", "done_at AS updated_at, done_at", c));
    let parts: Vec<String> = open.into_iter().chain(done).collect();
    format!("{} ORDER BY id DESC LIMIT $2", parts.join(" UNION ALL "))
}

pub(super) async fn list(
    database: &Database,
    filter: &Filter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<OperationRow>, Error> {
    let sql = AssertSqlSafe(sql(filter));
    let values = [filter.resource, filter.tenant];
    let rows = match database {
        Database::Sqlite(sqlite) => {
            let query = sqlx::query_as(sql).bind(before).bind(limit);
            let query = values.into_iter().flatten().fold(query, QueryAs::bind);
            query.fetch_all(&sqlite.read).await?
        }
        Database::Postgres(pool) => {
            let query = sqlx::query_as(sql).bind(before).bind(limit);
            let query = values.into_iter().flatten().fold(query, QueryAs::bind);
            query.fetch_all(pool).await?
        }
    };
    Ok(rows)
}
