//! Many copies of one row.

use std::ops::Range;

use anyhow::Context as _;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::seed::{APPLICATION, Bind, Series};
use super::stage::Connection;

/// Rows per statement.
const CHUNK: u64 = 100_000;

/// A column that differs from copy to copy, and how.
#[derive(Clone, Copy)]
pub(super) struct Column(pub(super) &'static str, pub(super) Value);

/// What a column has in a copy.
#[derive(Clone, Copy)]
pub(super) enum Value {
    /// An id that begins so.
    Id(&'static str),
    /// The id of one of so many seeded applications.
    Application(u64),
    /// Microseconds since 1970, six hours ahead.
    Later,
    /// What the database gives it.
    Omitted,
}

/// What is copied.
pub(super) struct Copies<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
    /// The column that tells the row to copy.
    pub(super) key: &'a str,
    pub(super) columns: &'a [Column],
    pub(super) numbers: Range<u64>,
}

/// Copies the row whose key is `first`.
pub(super) async fn copy(
    connection: &mut Connection,
    copies: &Copies<'_>,
    first: Uuid,
) -> anyhow::Result<()> {
    let Copies {
        schema,
        table,
        key,
        columns,
        numbers,
    } = copies;
    let mut names = connection.columns(schema, table).await?;
    names.retain(|name| {
        let is_omitted =
            |column: &Column| column.0 == name.as_str() && matches!(column.1, Value::Omitted);
        !columns.iter().any(is_omitted)
    });
    let postgres = matches!(connection, Connection::Postgres(_));
    let target = if postgres {
        format!("{schema}.{table}")
    } else {
        (*table).to_owned()
    };
    let mut from = numbers.start;
    while from < numbers.end {
        let series = Series {
            postgres,
            from,
            to: numbers.end.min(from + CHUNK),
            step: 1,
        };
        let values: Vec<String> = names
            .iter()
            .map(|name| value(name, columns, &series))
            .collect();
        let insert = format!(
            "INSERT INTO {target} ({}) SELECT {} FROM {target} AS original, {} \
             WHERE original.{key} = $1",
            names.join(", "),
            values.join(", "),
            series.sql()
        );
        connection
            .writer()
            .execute(insert, &[Bind::Id(first)])
            .await?;
        connection.writer().empty_log().await?;
        from += CHUNK;
    }
    Ok(())
}

fn value(name: &str, columns: &[Column], series: &Series) -> String {
    let column = columns.iter().find(|column| column.0 == name);
    match column.map(|column| column.1) {
        Some(Value::Id(prefix)) => series.id(prefix, "i"),
        Some(Value::Application(count)) => series.id(APPLICATION, &format!("(i % {count})")),
        Some(Value::Later) => {
            const SIX_HOURS: &str = "21600000000";
            let now = if series.postgres {
                "(extract(epoch FROM now()) * 1000000)::bigint"
            } else {
                "unixepoch() * 1000000"
            };
            format!("{now} + {SIX_HOURS}")
        }
        Some(Value::Omitted) | None => format!("original.{name}"),
    }
}

impl Connection {
    async fn columns(&mut self, schema: &str, table: &str) -> anyhow::Result<Vec<String>> {
        const POSTGRES: &str = "SELECT column_name::text FROM information_schema.columns \
            WHERE table_schema = $1 AND table_name = $2 ORDER BY ordinal_position";
        const SQLITE: &str = "SELECT name FROM pragma_table_info($1) ORDER BY cid";
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_scalar(SQLITE).bind(table);
                query.fetch_all(connection).await
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_scalar(POSTGRES).bind(schema).bind(table);
                query.fetch_all(connection).await
            }
        }
        .context("cannot look at a table")
    }

    /// A column of the row with this id.
    pub(super) async fn uuid(
        &mut self,
        (schema, table, column): (&str, &str, &str),
        id: Uuid,
    ) -> anyhow::Result<Option<Uuid>> {
        match self {
            Self::Sqlite(connection) => {
                let sql = format!("SELECT {column} FROM {table} WHERE id = $1");
                let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id);
                query.fetch_optional(connection).await
            }
            Self::Postgres(connection) => {
                let sql = format!("SELECT {column} FROM {schema}.{table} WHERE id = $1");
                let query = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id);
                query.fetch_optional(connection).await
            }
        }
        .context("cannot look at an operation")
    }
}
