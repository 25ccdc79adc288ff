//! One writer at a time: the pool's connection or the thread.
//!
//! Without it SQLite itself would keep them apart, by having one of them look again and again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqlitePoolOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ACQUIRE_TIMEOUT;

/// Whose turn it is to write.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    turns: Arc<Semaphore>,
    /// While the pool's connection is out.
    out: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(1)),
            out: Arc::default(),
        }
    }

    /// Waits for a turn, in the order of asking.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, sqlx::Error> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        tokio::time::timeout(ACQUIRE_TIMEOUT, turn)
            .await
            .map_err(|_| sqlx::Error::PoolTimedOut)?
            .map_err(|_| sqlx::Error::PoolClosed)
    }

    /// No more turns.
    pub(super) fn close(&self) {
        self.turns.close();
    }

    fn out(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn leave(self) -> Result<(), sqlx::Error> {
        // There is one connection, so if it leaves, nobody has it.
        self.come_back();
        let turn = self.turn().await?;
        *self.out() = Some(turn);
        Ok(())
    }

    /// Ends the turn of the pool's connection.
    pub(super) fn come_back(&self) {
        self.out().take();
    }

    /// A pool of one connection that takes a turn for as long as it is out.
    pub(super) fn keep(&self, pool: SqlitePoolOptions) -> SqlitePoolOptions {
        let [made, taken, back] = [self.clone(), self.clone(), self.clone()];
        pool.after_connect(move |_, _| Box::pin(made.clone().leave()))
            .before_acquire(move |_, _| {
                let left = taken.clone().leave();
                Box::pin(async move { left.await.map(|()| true) })
            })
            .after_release(move |_, _| {
                back.come_back();
                Box::pin(std::future::ready(Ok(true)))
            })
    }
}
