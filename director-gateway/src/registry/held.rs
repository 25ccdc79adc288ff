//! A connection that a batch keeps for the next one. One from the pool is looked at first, and tested when it
//! goes back, each of which costs a round trip.

use std::time::{Duration, Instant};

use binnacle_boot::database::{self, Database, Replanning};
use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite, SqlitePool};

/// After how long without work a connection is looked at again: the server may have gone or become read-only.
const REST: Duration = Duration::from_secs(1);

/// A plan that was made while a table was small is kept for long after: that of a statement, and those of the
/// checks of foreign keys too.
const PLAN: &str = "SET enable_seqscan = off";

/// What reads are a few statements that are planned once: to plan one takes several times as long as to run it.
const PLAN_ONCE: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

pub(super) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Connection {
    async fn is_fresh(&mut self) -> bool {
        match self {
            Self::Sqlite(_) => true,
            Self::Postgres(connection) => {
                matches!(database::is_fresh(connection).await, Ok(true))
            }
        }
    }
}

/// Where the connections of one kind of batch come from.
pub(super) struct Held {
    database: Database,
    writes: bool,
    connection: Option<(Connection, Instant)>,
    replanning: Replanning,
}

impl Held {
    pub(super) fn reading(database: Database) -> Self {
        Self {
            database,
            writes: false,
            connection: None,
            replanning: Replanning::default(),
        }
    }

    pub(super) fn writing(database: Database) -> Self {
        Self {
            writes: true,
            ..Self::reading(database)
        }
    }

    /// The pool that writes, if this is SQLite.
    pub(super) fn sqlite(&self) -> Option<&SqlitePool> {
        self.database.sqlite()
    }

    /// A connection, which is given up unless it is [kept](Held::keep).
    pub(super) async fn take(&mut self) -> Result<Connection, sqlx::Error> {
        if let Some((mut connection, used)) = self.connection.take()
            && (used.elapsed() < REST || connection.is_fresh().await)
        {
            if let Connection::Postgres(connection) = &mut connection {
                self.replanning.look(connection).await?;
            }
            return Ok(connection);
        }
        match &self.database {
            Database::Sqlite(sqlite) if self.writes => {
                sqlite.write.acquire().await.map(Connection::Sqlite)
            }
            Database::Sqlite(sqlite) => sqlite.read.acquire().await.map(Connection::Sqlite),
            Database::Postgres(pool) => {
                // Boxed: it is 14 KB, and whoever awaits this would be as large and moved from layer to layer.
                let mut connection = Box::pin(pool.acquire()).await?;
                connection.close_on_drop();
                let settings = if self.writes { PLAN } else { PLAN_ONCE };
                sqlx::raw_sql(settings).execute(&mut *connection).await?;
                self.replanning = Replanning::default();
                Ok(Connection::Postgres(connection))
            }
        }
    }

    /// Keeps a connection that has served without an error, but not the only one that writes.
    pub(super) fn keep(&mut self, connection: Connection) {
        if !self.writes || matches!(connection, Connection::Postgres(_)) {
            self.connection = Some((connection, Instant::now()));
        }
    }
}
