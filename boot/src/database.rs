//! Opening a service's database, embedded or served.
//!
//! A service owns one schema: on SQLite a file of its own in the data directory, on PostgreSQL a
//! schema of its own in the one database. Traps that this module closes for its callers:
//!
//! - A SQLite transaction that reads before it writes fails at once when somebody else wrote in
//!   between, whatever the busy timeout. So there is one that writes at a time, and
//!   [`begin_immediate`] and [`Sqlite::transact`] take the write lock first.
//! - A `BEGIN` whose caller goes away may leave an open transaction behind in a pooled
//!   PostgreSQL connection. [`begin`] runs it where nobody can cancel it, and the pool looks at
//!   every connection before it gives it out.
//! - After a failover a pool may hold sessions on a server that has become read-only. The same
//!   look drops them.

pub mod migration;
mod postgres;
mod sqlite;
mod url;

pub use migration::Migration;
pub use postgres::{Kept, begin, is_conflict, is_fresh};
pub use sqlite::{Purpose, Sqlite, begin_immediate, failure};
use sqlx::{PgPool, SqlitePool};
pub use url::{DatabaseUrl, InvalidUrl, Server};

use crate::Shutdown;
use crate::batch::{self, Commit, Writer};

/// An open database. Clones share its connections.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(Sqlite),
    Postgres(PgPool),
}

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections to PostgreSQL at most. SQLite has one that writes and four that read.
    pub connections: u32,
    /// Settings of every connection to PostgreSQL, by name.
    pub settings: &'static [(&'static str, &'static str)],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 10,
            settings: &[],
        }
    }
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the database file {file} is in use by another process; stop it, or choose another data directory"
    )]
    InUse { file: String },
    #[error("cannot use the data directory {directory}")]
    Directory {
        directory: String,
        source: std::io::Error,
    },
    #[error("cannot open the database file {file}")]
    File { file: String, source: sqlx::Error },
    #[error(
        "the database at {server} did not answer for {seconds} s; check the address, or start the server"
    )]
    NoAnswer {
        server: String,
        seconds: u64,
        source: sqlx::Error,
    },
    #[error("the database at {server} refused the connection")]
    Refused { server: String, source: sqlx::Error },
    #[error("the database at {server} only reads; give the address of the primary")]
    ReadOnly { server: String },
    #[error("the database at {server} is PostgreSQL {version}; 13 is the oldest that serves")]
    TooOld { server: String, version: String },
    #[error("migration {version} ({name}) failed")]
    Migration {
        version: i64,
        name: &'static str,
        source: sqlx::Error,
    },
    #[error("cannot read or write which migrations have run")]
    History(#[source] sqlx::Error),
}

impl Database {
    /// Opens `schema`, making it when it is missing. Waits for a server that does not answer,
    /// saying so in the log, as long as `url` has patience.
    pub async fn open(
        url: &DatabaseUrl,
        schema: &'static str,
        options: Options,
    ) -> Result<Self, Error> {
        match url {
            DatabaseUrl::Sqlite(directory) => {
                Sqlite::open(directory, schema).await.map(Self::Sqlite)
            }
            DatabaseUrl::Postgres(server) => postgres::open(server, schema, options)
                .await
                .map(Self::Postgres),
        }
    }

    /// Whether the database answers: what readiness asks.
    pub async fn ping(&self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(sqlite) => sqlx::query("SELECT 1")
                .execute(&sqlite.read)
                .await
                .map(drop),
            // The pool looks at a connection, or makes one, before it gives one out.
            Self::Postgres(pool) => Box::pin(pool.acquire()).await.map(drop),
        }
    }

    /// Waits for connections to come back, and closes them.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Starts a writer of batches that go here: on SQLite beside the connection for their purpose.
    pub fn batch<C: Commit>(
        &self,
        purpose: Purpose,
        commit: C,
        options: batch::Options,
        shutdown: &Shutdown,
    ) -> Writer<C> {
        match self {
            Self::Sqlite(sqlite) => {
                Writer::spawn_on(sqlite.tasks(purpose), commit, options, shutdown)
            }
            Self::Postgres(_) => Writer::spawn(commit, options, shutdown),
        }
    }

    /// The pool that writes, when this is SQLite.
    pub fn sqlite(&self) -> Option<&SqlitePool> {
        match self {
            Self::Sqlite(sqlite) => Some(&sqlite.write),
            Self::Postgres(_) => None,
        }
    }

    /// The pool, when this is PostgreSQL.
    pub fn postgres(&self) -> Option<&PgPool> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(pool) => Some(pool),
        }
    }
}

/// Runs `begin` to its end even if the caller goes away; what it gives is then dropped where
/// dropping it is safe.
async fn uncancelled<T, F>(begin: F) -> Result<T, sqlx::Error>
where
    T: Send + 'static,
    F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "ends by itself within the pool's timeouts, and whoever shuts down closes the pool"
    )]
    let task = tokio::spawn(begin);
    task.await.map_err(|_| sqlx::Error::WorkerCrashed)?
}
