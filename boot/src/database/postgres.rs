//! A schema in a PostgreSQL database.

use std::time::Duration;

use futures::FutureExt;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgPool, Postgres, Row, Transaction};
use tokio::time::Instant;

use super::url::{Server, shown};
use super::{Error, Options};

/// How long a statement may run. Migrations are exempt.
const STATEMENT_TIMEOUT: &str = "30s";
/// How long a transaction may sit without a statement before the server ends it. None of ours waits for anything but the
/// server, so whoever began it is frozen or gone, and other replicas wait for the rows that it has locked.
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "5s";
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// How soon the plans of a kept connection are made again, and how often at last.
const FIRST_REPLANNING: Duration = Duration::from_millis(500);
const LONGEST_REPLANNING: Duration = Duration::from_mins(5);
const OLDEST_VERSION: i32 = 130_000;

pub(super) async fn open(
    server: &Server,
    schema: &'static str,
    options: Options,
) -> Result<PgPool, Error> {
    let connect = server
        .connect
        .as_ref()
        .clone()
        .application_name(&format!("binnacle-{schema}"))
        .options([
            ("search_path", schema),
            ("statement_timeout", STATEMENT_TIMEOUT),
            (
                "idle_in_transaction_session_timeout",
                IDLE_IN_TRANSACTION_TIMEOUT,
            ),
        ])
        .options(options.settings.iter().copied());
    wait_until_usable(&connect, schema, server.patience).await?;
    let pool = PgPoolOptions::new()
        .max_connections(options.connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, _| is_fresh(connection).boxed())
        .connect_lazy_with(connect);
    Ok(pool)
}

/// Whether a connection that was idle is alive, may write, and is in no transaction that somebody left
/// behind: what the pool asks before it gives one out. One round trip in the simple protocol, where a statement outside a transaction sees
/// one time twice. An error drops the connection as `false` does.
pub async fn is_fresh(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const LOOK: &str = "SELECT now() = statement_timestamp() \
         AND current_setting('transaction_read_only') = 'off'";
    sqlx::raw_sql(LOOK).fetch_one(connection).await?.try_get(0)
}

async fn wait_until_usable(
    connect: &PgConnectOptions,
    schema: &str,
    patience: Duration,
) -> Result<(), Error> {
    let server = shown(connect);
    let deadline = Instant::now() + patience;
    loop {
        let attempt = tokio::time::timeout(CONNECT_TIMEOUT, prepare(connect, schema, &server));
        let error = match attempt.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => no_answer(&server, sqlx::Error::PoolTimedOut),
        };
        let is_final = matches!(error, Error::Refused { .. } | Error::TooOld { .. });
        if is_final || Instant::now() + PAUSE >= deadline {
            return Err(after(error, patience));
        }
        tracing::warn!(%server, reason = cause(&error), "waiting for the database");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes the schema, unless it is there. `CREATE SCHEMA IF NOT EXISTS` alone fails when two do it
/// at the same time.
async fn prepare(connect: &PgConnectOptions, schema: &str, server: &str) -> Result<(), Error> {
    let sort = |source| sort(server, source);
    let mut connection = PgConnection::connect_with(connect).await.map_err(sort)?;
    let (version, shown, read_only): (i32, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
         current_setting('transaction_read_only') = 'on'",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(sort)?;
    if version < OLDEST_VERSION {
        return Err(Error::TooOld {
            server: server.to_owned(),
            version: shown,
        });
    }
    if read_only {
        return Err(Error::ReadOnly {
            server: server.to_owned(),
        });
    }
    let mut transaction = connection.begin().await.map_err(sort)?;
    lock(&mut transaction, schema).await.map_err(sort)?;
    let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\""));
    sqlx::query("SET LOCAL client_min_messages = warning")
        .execute(&mut *transaction)
        .await
        .map_err(sort)?;
    sqlx::query(create)
        .execute(&mut *transaction)
        .await
        .map_err(sort)?;
    transaction.commit().await.map_err(sort)?;
    connection.close().await.map_err(sort)
}

/// Waits until no other process prepares or migrates `schema`; lasts as long as the transaction.
pub(super) async fn lock(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('binnacle'), hashtext($1))")
        .bind(schema)
        .execute(connection)
        .await
        .map(drop)
}

/// Wrong credentials or a missing database do not get better by waiting; a server that starts,
/// stops or is not there does.
fn sort(server: &str, source: sqlx::Error) -> Error {
    let code = source.as_database_error().and_then(DatabaseError::code);
    let is_final = code.is_some_and(|code| {
        ["28", "3D", "42"]
            .iter()
            .any(|class| code.starts_with(class))
    }) || matches!(source, sqlx::Error::Configuration(_));
    if is_final {
        Error::Refused {
            server: server.to_owned(),
            source,
        }
    } else {
        no_answer(server, source)
    }
}

fn no_answer(server: &str, source: sqlx::Error) -> Error {
    Error::NoAnswer {
        server: server.to_owned(),
        seconds: 0,
        source,
    }
}

fn after(error: Error, patience: Duration) -> Error {
    match error {
        Error::NoAnswer {
            server,
            seconds: _,
            source,
        } => Error::NoAnswer {
            server,
            seconds: patience.as_secs(),
            source,
        },
        other => other,
    }
}

fn cause(error: &Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Begins a transaction that a caller who goes away cannot leave half begun.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    super::uncancelled(async move { Box::pin(pool.begin()).await }).await
}

/// Whether the database gave up this transaction in favour of another: a deadlock or a
/// serialization failure. The same work may succeed at once.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// A connection that one task keeps for its statements, which are planned once: one from the pool has to be looked at
/// first, which costs a round trip.
#[derive(Debug)]
pub struct Kept {
    settings: &'static str,
    connection: Option<PoolConnection<Postgres>>,
    replanning: Replanning,
}

impl Kept {
    /// None yet. `settings` are statements that every connection begins with.
    pub fn new(settings: &'static str) -> Self {
        Self {
            settings,
            connection: None,
            replanning: Replanning::default(),
        }
    }

    /// Whether there is one to take out.
    pub fn is_there(&self) -> bool {
        self.connection.is_some()
    }

    /// Takes the connection out, or opens one. It is closed unless it comes back.
    pub async fn take(&mut self, pool: &PgPool) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if let Some(mut connection) = self.connection.take() {
            self.replanning.look(&mut connection).await?;
            return Ok(connection);
        }
        // Boxed: it is 14 KB, and whoever awaits this would be as large and moved from layer to layer.
        let mut connection = Box::pin(pool.acquire()).await?;
        // Nobody else is to have its settings.
        connection.close_on_drop();
        sqlx::raw_sql(self.settings)
            .execute(&mut *connection)
            .await?;
        self.replanning = Replanning::default();
        Ok(connection)
    }

    /// Puts back what has served without an error.
    pub fn put(&mut self, connection: PoolConnection<Postgres>) {
        self.connection = Some(connection);
    }
}

/// When the plans of a connection that is kept are to be made again.
///
/// The planner goes by the size that a table has at the moment, and what it planned while a table was empty may read
/// all of it ever after. So plans are made again soon after the connection was opened, and then less and less often.
#[derive(Debug)]
struct Replanning {
    due: Instant,
    pause: Duration,
}

impl Default for Replanning {
    fn default() -> Self {
        Self {
            due: Instant::now() + FIRST_REPLANNING,
            pause: FIRST_REPLANNING,
        }
    }
}

impl Replanning {
    /// Lets `connection` forget its plans, if it is time to.
    async fn look(&mut self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let now = Instant::now();
        if now < self.due {
            return Ok(());
        }
        self.pause = (self.pause * 2).min(LONGEST_REPLANNING);
        self.due = now + self.pause;
        sqlx::raw_sql("DISCARD PLANS")
            .execute(connection)
            .await
            .map(drop)
    }
}
