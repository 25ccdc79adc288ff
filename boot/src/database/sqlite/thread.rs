//! A thread with a connection of its own, and with the tasks that use it.
//!
//! sqlx has a thread per connection too, and a caller wakes it, or is woken by it, for every row. Here a batch is done
//! for one wake-up; and as whoever gathers batches runs beside the connection, nobody waits for its turn among the
//! tasks of the other threads before and after each of them.

use std::{
    cell::RefCell,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle, ThreadId},
};

use rusqlite::{Connection, OpenFlags};
use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

use super::{BUSY_TIMEOUT, READER_CACHE_KIB, WRITER_CACHE_KIB, failure::failure};

/// Statements that stay prepared.
const PREPARED: usize = 64;

thread_local! {
    /// On a thread of a database: its connection.
    static CONNECTION: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// A handle on the thread, which ends when there are no more.
#[derive(Debug)]
pub(super) struct Thread {
    id: ThreadId,
    tasks: Handle,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// Dropped to end the thread.
    stays: oneshot::Sender<Infallible>,
    thread: JoinHandle<()>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
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
        let (stays, end) = oneshot::channel();
        let (opened, is_open) = oneshot::channel();
        let file = file.to_owned();
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let tasks = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(purpose.thread_name().to_owned())
            .spawn(move || match open(&file, purpose) {
                Ok(connection) => {
                    CONNECTION.set(Some(connection));
                    let _ = opened.send(Ok(()));
                    let _ = runtime.block_on(end);
                    // Tasks that are left go before the connection.
                    drop(runtime);
                    CONNECTION.take();
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            })?;
        is_open
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?
            .map_err(failure)?;
        Ok(Self {
            id: thread.thread().id(),
            tasks,
            running: Mutex::new(Some(Running { stays, thread })),
        })
    }

    /// What runs tasks on it.
    pub(super) fn tasks(&self) -> &Handle {
        &self.tasks
    }

    /// Has `work` done as one transaction, for a task of this thread.
    pub(super) fn transact<T, E: From<sqlx::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.run(|connection| in_transaction(connection, work))
    }

    /// Has `work` done, for a task of this thread.
    pub(super) fn run<T, E: From<sqlx::Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        CONNECTION.with_borrow(|connection| match connection {
            Some(connection) if thread::current().id() == self.id => guarded(|| work(connection)),
            _ => {
                let elsewhere = "only a task of the database's thread can use its connection";
                Err(sqlx::Error::Configuration(elsewhere.into()).into())
            }
        })
    }

    /// Waits for the thread to end, which ends what it does but begins nothing more.
    pub(super) async fn close(&self) {
        let running = self.running.lock();
        let running = running.unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stays, thread }) = running else {
            return;
        };
        drop(stays);
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
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
