//! Bringing a schema up to date, once, however many replicas start at the same time.

use std::collections::BTreeSet;

use sqlx::{PgPool, SqlitePool};

use super::{Database, Error, begin, begin_immediate, postgres};

/// One step of a schema. Released steps never change; new ones are added at the end, with a
/// higher version.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    pub version: i64,
    pub name: &'static str,
    /// Any number of statements.
    pub sqlite: &'static str,
    /// Any number of statements that may run in a transaction.
    pub postgres: &'static str,
}

const HISTORY: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
     (version BIGINT PRIMARY KEY, name TEXT NOT NULL)";
const APPLIED: &str = "SELECT version FROM schema_migrations";
const RECORD: &str = "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)";

impl Database {
    /// Runs those of `migrations` that have not run in `schema` yet, all or none. Others that
    /// start at the same time wait, and find nothing to do.
    pub async fn migrate(
        &self,
        schema: &'static str,
        migrations: &'static [Migration],
    ) -> Result<(), Error> {
        match self {
            Self::Sqlite(sqlite) => migrate_sqlite(&sqlite.write, migrations).await,
            Self::Postgres(pool) => migrate_postgres(pool, schema, migrations).await,
        }
    }
}

async fn migrate_sqlite(pool: &SqlitePool, migrations: &'static [Migration]) -> Result<(), Error> {
    let mut transaction = begin_immediate(pool).await.map_err(Error::History)?;
    sqlx::query(HISTORY)
        .execute(&mut *transaction)
        .await
        .map_err(Error::History)?;
    let applied: Vec<i64> = sqlx::query_scalar(APPLIED)
        .fetch_all(&mut *transaction)
        .await
        .map_err(Error::History)?;
    for migration in missing(applied, migrations) {
        sqlx::raw_sql(migration.sqlite)
            .execute(&mut *transaction)
            .await
            .map_err(|source| failed(migration, source))?;
        sqlx::query(RECORD)
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *transaction)
            .await
            .map_err(Error::History)?;
    }
    transaction.commit().await.map_err(Error::History)
}

async fn migrate_postgres(
    pool: &PgPool,
    schema: &'static str,
    migrations: &'static [Migration],
) -> Result<(), Error> {
    let mut transaction = begin(pool).await.map_err(Error::History)?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        .execute(&mut *transaction)
        .await
        .map_err(Error::History)?;
    postgres::lock(&mut transaction, schema)
        .await
        .map_err(Error::History)?;
    sqlx::query(HISTORY)
        .execute(&mut *transaction)
        .await
        .map_err(Error::History)?;
    let applied: Vec<i64> = sqlx::query_scalar(APPLIED)
        .fetch_all(&mut *transaction)
        .await
        .map_err(Error::History)?;
    for migration in missing(applied, migrations) {
        sqlx::raw_sql(migration.postgres)
            .execute(&mut *transaction)
            .await
            .map_err(|source| failed(migration, source))?;
        sqlx::query(RECORD)
            .bind(migration.version)
            .bind(migration.name)
            .execute(&mut *transaction)
            .await
            .map_err(Error::History)?;
    }
    transaction.commit().await.map_err(Error::History)
}

/// What has not run. A schema that is ahead of this program is left as it is: a step only adds,
/// so that the release before it can go on while the next one is rolled out.
fn missing(
    applied: Vec<i64>,
    migrations: &'static [Migration],
) -> impl Iterator<Item = &'static Migration> {
    let applied: BTreeSet<i64> = applied.into_iter().collect();
    migrations
        .iter()
        .filter(move |migration| !applied.contains(&migration.version))
        .inspect(|migration| {
            tracing::info!(
                version = migration.version,
                name = migration.name,
                "migrating"
            );
        })
}

fn failed(migration: &Migration, source: sqlx::Error) -> Error {
    Error::Migration {
        version: migration.version,
        name: migration.name,
        source,
    }
}
