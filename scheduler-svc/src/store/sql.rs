//! Statements that take arrays, on either database.
//!
//! PostgreSQL is given one array per column, SQLite one JSON array of rows per table. Scalars follow.

use binnacle_boot::database::{self, Database, Kept};
use sqlx::{
    FromRow, PgConnection, Postgres, Sqlite, SqliteConnection, postgres::PgRow, sqlite::SqliteRow,
};
use uuid::Uuid;

use super::statement::Statement;

/// Columns of as many rows each.
pub(super) type Table<'a> = Vec<Column<'a>>;

/// One column of the rows that a statement is given.
pub(super) enum Column<'a> {
    Ids(Vec<Uuid>),
    Numbers(Vec<i64>),
    MaybeNumbers(Vec<Option<i64>>),
    Texts(Vec<&'a str>),
    MaybeTexts(Vec<Option<&'a str>>),
}

/// A value that a statement is given once.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Id(Uuid),
    Number(i64),
    Text(&'a str),
}

/// A row of either database.
pub(super) trait Row:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{}

/// A transaction that writes.
pub(super) enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

impl Transaction {
    pub(super) async fn begin(database: &Database) -> Result<Self, sqlx::Error> {
        match database {
            Database::Sqlite(sqlite) => database::begin_immediate(&sqlite.write)
                .await
                .map(Self::Sqlite),
            Database::Postgres(pool) => database::begin(pool).await.map(Self::Postgres),
        }
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    pub(super) async fn run<T: Row>(
        &mut self,
        statement: Statement,
        tables: &[Table<'_>],
        values: &[Value<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => {
                run_sqlite(transaction, statement.sqlite, tables, values).await
            }
            Self::Postgres(transaction) => {
                run_postgres(transaction, statement.postgres, tables, values).await
            }
        }
    }
}

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
        return read(database, statement, &[], values).await;
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
    tables: &[Table<'_>],
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    match database {
        Database::Sqlite(sqlite) => {
            let mut connection = sqlite.read.acquire().await?;
            run_sqlite(&mut connection, statement.sqlite, tables, values).await
        }
        Database::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            run_postgres(&mut connection, statement.postgres, tables, values).await
        }
    }
}

/// Runs the statements of `sql` as a transaction of their own: to SQLite's thread and back is once as far as a
/// thread has to be woken.
pub(super) async fn run_alone_sqlite<T: Row>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    tables: &[Table<'_>],
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    let result = run_sqlite(connection, sql, tables, values).await;
    database::or_roll_back(connection, result).await
}

async fn run_sqlite<T: Row>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    tables: &[Table<'_>],
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    let mut query = sqlx::query_as::<_, T>(sql);
    for table in tables {
        query = query.bind(rows_as_json(table));
    }
    for value in values {
        query = match *value {
            Value::Id(id) => query.bind(id),
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.to_owned()),
        };
    }
    query.fetch_all(connection).await
}

pub(super) async fn run_postgres<T: Row>(
    connection: &mut PgConnection,
    sql: &'static str,
    tables: &[Table<'_>],
    values: &[Value<'_>],
) -> Result<Vec<T>, sqlx::Error> {
    let mut query = sqlx::query_as::<_, T>(sql);
    for column in tables.iter().flatten() {
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
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text.to_owned()),
        };
    }
    query.fetch_all(connection).await
}

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ids(ids) => ids.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::MaybeNumbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
            Self::MaybeTexts(texts) => texts.len(),
        }
    }

    fn write(&self, row: usize, json: &mut Vec<u8>) {
        // Writing into memory does not fail, and a string is always valid JSON.
        let _ = match self {
            Self::Ids(ids) => serde_json::to_writer(json, &ids[row].simple()),
            Self::Numbers(numbers) => serde_json::to_writer(json, &numbers[row]),
            Self::MaybeNumbers(numbers) => serde_json::to_writer(json, &numbers[row]),
            Self::Texts(texts) => serde_json::to_writer(json, texts[row]),
            Self::MaybeTexts(texts) => serde_json::to_writer(json, &texts[row]),
        };
    }
}

fn rows_as_json(columns: &[Column<'_>]) -> String {
    let rows = columns.first().map_or(0, Column::len);
    let mut json = vec![b'['];
    for row in 0..rows {
        json.extend_from_slice(if row == 0 { b"[" } else { b",[" });
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            column.write(row, &mut json);
        }
        json.push(b']');
    }
    json.push(b']');
    String::from_utf8(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows() {
        let columns = [
            Column::Ids(vec![Uuid::nil(), Uuid::max()]),
            Column::MaybeNumbers(vec![Some(-1), None]),
            Column::Texts(vec!["a\"b", "\0"]),
        ];
        assert_eq!(
            rows_as_json(&columns),
            r#"[["00000000000000000000000000000000",-1,"a\"b"],["ffffffffffffffffffffffffffffffff",null,"\u0000"]]"#
        );
    }
}
