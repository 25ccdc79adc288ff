//! What statements are given, and those that only read.

use binnacle_boot::database::{Database, Kept};
use rusqlite::{
    ToSql,
    types::{ToSqlOutput, Value as Owned},
};
use sqlx::{FromRow, PgConnection, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use super::{statement::Statement, stored};

/// One column of the rows that a statement is given: on PostgreSQL together, on SQLite one after the other.
pub(super) enum Column<'a> {
    Ids(Vec<Uuid>),
    Numbers(Vec<i64>),
    MaybeNumbers(Vec<Option<i64>>),
    Texts(Vec<&'a str>),
    MaybeTexts(Vec<Option<&'a str>>),
}

/// A value that a statement is given once. Lists are arrays on PostgreSQL and JSON on SQLite.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Id(Uuid),
    Ids(&'a [Uuid]),
    Number(i64),
    Numbers(&'a [i64]),
    Text(&'a str),
}

impl Value<'_> {
    fn as_json(self) -> Option<String> {
        match self {
            Self::Ids(ids) => {
                let ids: Vec<_> = ids.iter().map(|id| id.simple().to_string()).collect();
                Some(stored::json(&ids))
            }
            Self::Numbers(numbers) => Some(stored::json(numbers)),
            Self::Id(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Id(id) => id.to_sql(),
            Self::Number(number) => number.to_sql(),
            Self::Text(text) => text.to_sql(),
            Self::Ids(_) | Self::Numbers(_) => {
                let json = self.as_json().map_or(Owned::Null, Owned::Text);
                Ok(ToSqlOutput::Owned(json))
            }
        }
    }
}

/// A row of either database, as those get it who only read.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A connection for statements that are not worth planning each time.
pub(crate) fn kept() -> Kept {
    Kept::new("SET plan_cache_mode = force_generic_plan")
}

/// Runs a statement that only reads, on the connection that its caller keeps.
pub(super) async fn read_again<T: Row>(
    database: &Database,
    kept: &mut Kept,
    statement: Statement,
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    let Database::Postgres(pool) = database else {
        return read(database, statement, values).await;
    };
    let mut connection = kept.take(pool).await?;
    let rows = run_postgres(&mut connection, statement.postgres, &[], values).await?;
    kept.put(connection);
    Ok(rows)
}

/// Runs a statement that only reads.
pub(super) async fn read<T: Row>(
    database: &Database,
    statement: Statement,
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    match database {
        Database::Sqlite(sqlite) => {
            let mut query = sqlx::query_as::<_, T>(statement.sqlite);
            for value in values {
                query = match *value {
                    Value::Id(id) => query.bind(id),
                    Value::Number(number) => query.bind(number),
                    Value::Text(text) => query.bind(text.to_owned()),
                    Value::Ids(_) | Value::Numbers(_) => query.bind(value.as_json()),
                };
            }
            query.fetch_all(&sqlite.read).await
        }
        Database::Postgres(pool) => {
            // Boxed: it is 14 KB, and whoever awaits this would be as large and moved from layer to layer.
            let mut connection = Box::pin(pool.acquire()).await?;
            run_postgres(&mut connection, statement.postgres, &[], values).await
        }
    }
}

pub(super) async fn run_postgres<T>(
    connection: &mut PgConnection,
    sql: &'static str,
    columns: &[Column<'_>],
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut query = sqlx::query_as::<_, T>(sql);
    for column in columns {
        query = match column {
            Column::Ids(ids) => query.bind(ids),
            Column::Numbers(numbers) => query.bind(numbers),
            Column::MaybeNumbers(numbers) => query.bind(numbers),
            Column::Texts(texts) => query.bind(texts),
            Column::MaybeTexts(texts) => query.bind(texts),
        };
    }
    for value in values {
        query = match *value {
            Value::Id(id) => query.bind(id),
            Value::Ids(ids) => query.bind(ids.to_vec()),
            Value::Number(number) => query.bind(number),
            Value::Numbers(numbers) => query.bind(numbers.to_vec()),
            Value::Text(text) => query.bind(text.to_owned()),
        };
    }
    query.fetch_all(connection).await
}

impl Column<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::MaybeNumbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
            Self::MaybeTexts(texts) => texts.len(),
        }
    }

    pub(super) fn at(&self, row: usize) -> &dyn ToSql {
        match self {
            Self::Ids(ids) => &ids[row],
            Self::Numbers(numbers) => &numbers[row],
            Self::MaybeNumbers(numbers) => &numbers[row],
            Self::Texts(texts) => &texts[row],
            Self::MaybeTexts(texts) => &texts[row],
        }
    }
}
