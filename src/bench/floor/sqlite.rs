//! Single commits on SQLite: one writer, a row inserted per commit.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::super::stage::Site;
use super::{Count, Floors};

const TABLE: &str = "CREATE TABLE operation (id integer PRIMARY KEY, resource integer NOT NULL, \
    status integer NOT NULL, payload text NOT NULL)";
const INSERT: &str = "INSERT INTO operation (resource, status, payload) VALUES ($1, 0, $2)";

pub(super) async fn measure(site: &Site, length: Duration) -> anyhow::Result<Floors> {
    let directory = site.directory()?;
    let options = SqliteConnectOptions::new()
        .filename(directory.path().join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .context("cannot open a database file")?;
    let context = "cannot measure single commits";
    let table = sqlx::query(TABLE).execute(&mut connection).await;
    table.context(context)?;
    let payload = "x".repeat(190);
    let mut count = Count::new(length);
    let mut resource = 0_i64;
    while count.goes_on() {
        let since = Instant::now();
        resource += 1;
        let insert = sqlx::query(INSERT).bind(resource).bind(&payload);
        insert.execute(&mut connection).await.context(context)?;
        count.done(since, 1);
    }
    connection.close().await.context(context)?;
    Ok(Floors {
        single: count.per_second(),
        single_p50_ms: count.millis(0.5),
        single_p99_ms: count.millis(0.99),
        naive: None,
        fused: None,
        batched: None,
    })
}
