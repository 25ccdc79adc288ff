//! Where batches go. On PostgreSQL a connection is kept for the next one, and looked at only when it has rested.

use std::time::{Duration, Instant};

use binnacle_boot::database::{Database, Kept, Sqlite, is_fresh};
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};

/// After how long without work a connection is looked at again: the server may have gone or become read-only.
const REST: Duration = Duration::from_secs(1);

/// A plan that was made while a table was small is kept for long after: that of a statement, and those of the
/// checks of foreign keys too.
const PLAN: &str = "SET enable_seqscan = off";

/// What reads are a few statements that are planned once: to plan one takes several times as long as to run it.
const PLAN_ONCE: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
     SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Whom a kind of batch goes to.
pub(super) enum Source {
    Sqlite(Sqlite),
    Postgres(Held),
}

impl Source {
    /// For batches that read.
    pub(super) fn reading(database: Database) -> Self {
        Self::new(database, PLAN_ONCE)
    }

    /// For batches that write.
    pub(super) fn writing(database: Database) -> Self {
        Self::new(database, PLAN)
    }

    fn new(database: Database, settings: &'static str) -> Self {
        match database {
            Database::Sqlite(sqlite) => Self::Sqlite(sqlite),
            Database::Postgres(pool) => Self::Postgres(Held {
                pool,
                kept: Kept::new(settings),
                used: Instant::now(),
            }),
        }
    }
}

/// The connection of one kind of batch, and where the next one comes from.
pub(super) struct Held {
    pool: PgPool,
    kept: Kept,
    used: Instant,
}

impl Held {
    /// A connection, which is given up unless it is [kept](Held::keep).
    pub(super) async fn take(&mut self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        if self.kept.is_there()
            && self.used.elapsed() >= REST
            && let Ok(mut connection) = self.kept.take(&self.pool).await
            && matches!(is_fresh(&mut connection).await, Ok(true))
        {
            return Ok(connection);
        }
        self.kept.take(&self.pool).await
    }

    /// Keeps a connection that has served without an error.
    pub(super) fn keep(&mut self, connection: PoolConnection<Postgres>) {
        self.kept.put(connection);
        self.used = Instant::now();
    }
}
