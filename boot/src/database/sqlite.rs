//! A database file, locked against other processes.

mod failure;
mod gate;
mod thread;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlitePool, Transaction};
use tokio::runtime::Handle;

use self::{gate::Gate, thread::Thread};
use super::Error;
pub use failure::failure;
pub use thread::Purpose;

/// How long a connection waits for a lock that another one holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
const READERS: u32 = 4;
/// What a connection keeps of the file in memory, in KiB. SQLite's own 2 MiB hold little of a large table's indexes. But
/// while it sorts the parts of a page that it split, SQLite gives one of them a number far beyond the end of a file
/// below 1 GiB, and then looks at the commit through all that it keeps for pages beyond the end.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 16 * 1024;

/// An open database file: who writes, one at a time, and those that read.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// One connection; what writes statement by statement goes through it, with [`begin_immediate`].
    pub write: SqlitePool,
    /// Connections that can only read.
    pub read: SqlitePool,
    writer: Arc<Thread>,
    reader: Arc<Thread>,
    gate: Gate,
    /// Held as long as any clone lives.
    _lock: Arc<File>,
}

impl Sqlite {
    pub(super) async fn open(directory: &Path, schema: &str) -> Result<Self, Error> {
        std::fs::create_dir_all(directory).map_err(|source| unusable(directory, source))?;
        let file = directory.join(format!("{schema}.db"));
        let lock = lock(directory, &file)?;
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true);
        let failed = |source| Error::File {
            file: file.display().to_string(),
            source,
        };
        let gate = Gate::new();
        let write = gate
            .keep(pool(1))
            .connect_with(cached(options.clone(), WRITER_CACHE_KIB))
            .await
            .map_err(failed)?;
        // The pool has made its connection and given it to nobody.
        gate.come_back();
        let read = pool(READERS)
            .connect_with(cached(options, READER_CACHE_KIB).pragma("query_only", "ON"))
            .await
            .map_err(failed)?;
        let writer = Thread::start(&file, Purpose::Write).await;
        let reader = Thread::start(&file, Purpose::Read).await;
        Ok(Self {
            write,
            read,
            writer: Arc::new(writer.map_err(failed)?),
            reader: Arc::new(reader.map_err(failed)?),
            gate,
            _lock: Arc::new(lock),
        })
    }

    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.gate.close();
        self.writer.close().await;
        self.reader.close().await;
    }

    /// What runs tasks beside the connection for a purpose, which only they can use.
    pub fn tasks(&self, purpose: Purpose) -> &Handle {
        match purpose {
            Purpose::Read => self.reader.tasks(),
            Purpose::Write => self.writer.tasks(),
        }
    }

    /// Has `work` done as one transaction, at once when it is its turn, for a task beside the connection that
    /// writes. It is committed, or rolled back if `work` fails or panics.
    pub async fn transact<T, E: From<sqlx::Error>>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, E> + Send,
    ) -> Result<T, E> {
        let _turn = self.gate.turn().await?;
        self.writer.transact(work)
    }

    /// Has `work`, which only reads, done at once, for a task beside the connection that reads. A panic in it is
    /// an error.
    pub fn look<T, E: From<sqlx::Error>>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.reader.run(work)
    }
}

fn cached(options: SqliteConnectOptions, kib: u32) -> SqliteConnectOptions {
    options.pragma("cache_size", format!("-{kib}"))
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Takes the lock beside `file`. The kernel frees it when the process ends, however it ends.
fn lock(directory: &Path, file: &Path) -> Result<File, Error> {
    let mut beside = PathBuf::from(file).into_os_string();
    beside.push(".lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(|source| unusable(directory, source))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::InUse {
            file: file.display().to_string(),
        }),
        Err(errno) => Err(unusable(directory, errno.into())),
    }
}

fn unusable(directory: &Path, source: std::io::Error) -> Error {
    Error::Directory {
        directory: directory.display().to_string(),
        source,
    }
}

/// Begins a transaction that writes, taking the write lock at once.
pub async fn begin_immediate(
    write: &SqlitePool,
) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
    let write = write.clone();
    super::uncancelled(async move { write.begin_with("BEGIN IMMEDIATE").await }).await
}
