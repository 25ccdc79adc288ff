//! A thread with a connection of its own, which does all of a batch for one wake-up.
//!
//! sqlx has a thread per connection too, and a caller wakes it, or is woken by it, for every row.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use super::{BUSY_TIMEOUT, READER_CACHE_KIB, WRITER_CACHE_KIB, failure::failure};

/// Statements that stay prepared.
const PREPARED: usize = 64;

type Work = Box<dyn FnOnce(&Connection) + Send>;

/// A handle on the thread, which ends when there are no more.
#[derive(Debug)]
pub(super) struct Thread(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    work: mpsc::Sender<Work>,
    handle: JoinHandle<()>,
}

/// What a thread is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl Purpose {
    fn thread_name(self) -> &'static str {
        match self {
            Self::Read => "sqlite-reader",
            Self::Write => "sqlite-writer",
        }
    }

    fn settings(self) -> String {
        let (query_only, cache) = match self {
            Self::Read => ("ON", READER_CACHE_KIB),
            Self::Write => ("OFF", WRITER_CACHE_KIB),
        };
        format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -{cache}; \
             PRAGMA query_only = {query_only}"
        )
    }
}

impl Thread {
    /// Starts it on an existing file.
    pub(super) async fn start(file: &Path, purpose: Purpose) -> Result<Self, sqlx::Error> {
        let (work, queue) = mpsc::channel::<Work>();
        let (opened, is_open) = oneshot::channel();
        let file = file.to_owned();
        let handle = std::thread::Builder::new()
            .name(purpose.thread_name().to_owned())
            .spawn(move || match open(&file, purpose) {
                Ok(connection) => {
                    let _ = opened.send(Ok(()));
                    for work in queue {
                        work(&connection);
                    }
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            })?;
        is_open
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?
            .map_err(failure)?;
        Ok(Self(Mutex::new(Some(Running { work, handle }))))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `work` done as one transaction; `turn` ends with it.
    pub(super) async fn transact<T, E>(
        &self,
        turn: impl Send + 'static,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let work = move |connection: &Connection| {
            let done = in_transaction(connection, work);
            drop(turn);
            done
        };
        self.run(work).await
    }

    /// Has `work` done.
    pub(super) async fn run<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // Whoever asked may have gone.
            let _ = reply.send(guarded(|| work(connection)));
        });
        let is_sent = self
            .running()
            .as_ref()
            .is_some_and(|running| running.work.send(work).is_ok());
        if !is_sent {
            return Err(sqlx::Error::PoolClosed.into());
        }
        answer
            .await
            .unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
    }

    /// Waits for the thread to end, which does what it was given before.
    pub(super) async fn close(&self) {
        let Some(Running { work, handle }) = self.running().take() else {
            return;
        };
        drop(work);
        let joined = tokio::task::spawn_blocking(|| handle.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("a thread of the database had panicked");
        }
    }
}

fn open(file: &Path, purpose: Purpose) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    connection.execute_batch(&purpose.settings())?;
    Ok(connection)
}

/// A panic is an error like any other.
fn guarded<T, E: From<sqlx::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed.into()))
}

/// Whatever becomes of `work`, no transaction is open afterwards.
fn in_transaction<T, E: From<sqlx::Error>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    run(connection, "BEGIN IMMEDIATE")?;
    let done = guarded(|| work(connection)).and_then(|value| {
        run(connection, "COMMIT")?;
        Ok(value)
    });
    // Some failures have ended it already.
    if !connection.is_autocommit()
        && let Err(error) = run(connection, "ROLLBACK")
    {
        tracing::error!(%error, "cannot roll back");
    }
    done
}

fn run(connection: &Connection, sql: &'static str) -> Result<(), sqlx::Error> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    statement.execute(()).map(drop).map_err(failure)
}
