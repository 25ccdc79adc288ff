//! Single commits on SQLite: one writer, a row inserted per commit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::super::lane::Lane;
use super::super::stage::Site;
use super::{Count, Floors};

const TABLE: &str = "CREATE TABLE operation (id integer PRIMARY KEY, resource integer NOT NULL, \
    status integer NOT NULL, payload text NOT NULL)";
const INSERT: &str = "INSERT INTO operation (resource, status, payload) VALUES (?, 0, ?)";

/// Rows inserted, and committed one by one, for each time that we talk to the thread that SQLite
/// runs on; otherwise what is measured is half talk.
const ROWS: u8 = 16;

pub(super) async fn measure(site: &Site, length: Duration) -> anyhow::Result<Floors> {
    let directory = site.directory()?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let lane = Lane::start("bench-floor")?;
    let run = async move {
        let mut connection = SqliteConnection::connect_with(&options)
            .await
            .context("cannot open a database file")?;
        let measured = insert(&mut connection, length).await;
        let floors = measured.context("cannot measure single commits")?;
        connection.close().await.context("cannot close the file")?;
        Ok(floors)
    };
    lane.run(run).await
}

async fn insert(
    connection: &mut SqliteConnection,
    length: Duration,
) -> Result<Floors, sqlx::Error> {
    let payload = "x".repeat(190);
    sqlx::query(TABLE).execute(&mut *connection).await?;
    let mut one_by_one = Count::new(length / 3);
    while one_by_one.goes_on() {
        let since = Instant::now();
        let insert = sqlx::query(INSERT).bind(1).bind(&payload);
        insert.execute(&mut *connection).await?;
        one_by_one.done(since, 1);
    }
    let inserts = [INSERT; ROWS as usize].join(";");
    let mut many = Count::new(length);
    while many.goes_on() {
        let since = Instant::now();
        let mut insert = sqlx::query(AssertSqlSafe(inserts.as_str()));
        for _ in 0..ROWS {
            insert = insert.bind(1).bind(&payload);
        }
        insert.execute(&mut *connection).await?;
        many.done(since, ROWS.into());
    }
    Ok(Floors {
        single: many.per_second(),
        single_p50_ms: one_by_one.millis(0.5),
        single_p99_ms: one_by_one.millis(0.99),
        naive: None,
        fused: None,
        batched: None,
    })
}
