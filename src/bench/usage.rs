//! What the mesh and its database have used: counters that are read before and after.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use sqlx::{PgConnection, Row as _};
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::proc;

/// Where the counters of a database are.
pub(super) enum Meter {
    Sqlite {
        directory: PathBuf,
    },
    Postgres {
        connection: Box<Mutex<PgConnection>>,
        /// The server's first process, when it runs on this machine.
        postmaster: Option<u32>,
        counts_statements: bool,
    },
}

/// Counters at a moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    cpu: BTreeMap<&'static str, Duration>,
    threads: BTreeMap<String, Duration>,
    database_cpu: Option<Duration>,
    /// Of clients and external system: of this process.
    driver_cpu: Duration,
    resident: u64,
    written: u64,
    pub(super) database: Counters,
}

/// Counters of a database; those that it does not have are absent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) transactions: Option<u64>,
    pub(super) writes: Option<u64>,
    pub(super) statements: Option<u64>,
    /// Of the scheduler's operations and ledger.
    pub(super) updates: Option<u64>,
    wal: Option<u64>,
    bytes: u64,
}

/// What one operation cost. What is unknown is absent.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Costs {
    /// Microseconds of processor time of the mesh, by role.
    pub(super) cpu_us: BTreeMap<&'static str, f64>,
    /// The same by the names of threads.
    pub(super) thread_cpu_us: BTreeMap<String, f64>,
    pub(super) database_cpu_us: Option<f64>,
    /// The same of clients and external system.
    pub(super) driver_cpu_us: f64,
    /// Commits that wrote something, of all databases together.
    pub(super) commits: Option<f64>,
    /// All transactions, those that only read among them.
    pub(super) transactions: Option<f64>,
    pub(super) statements: Option<f64>,
    /// Of the scheduler's operations and ledger.
    pub(super) row_updates: Option<f64>,
    pub(super) wal_bytes: Option<f64>,
    pub(super) database_bytes: f64,
    /// What the mesh's own processes wrote to disk.
    pub(super) written_bytes: f64,
    /// Of all processes of the mesh, at the end.
    pub(super) resident_bytes: u64,
}

impl Costs {
    /// Of mesh and database together.
    pub(super) fn total_cpu_us(&self) -> f64 {
        self.cpu_us.values().sum::<f64>() + self.database_cpu_us.unwrap_or(0.0)
    }
}

impl Meter {
    pub(super) async fn postgres(mut connection: PgConnection) -> anyhow::Result<Self> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut connection)
            .await
            .context("cannot ask the database about itself")?;
        let backend = u32::try_from(backend).ok().and_then(proc::Stat::read);
        let backend = backend.filter(|stat| stat.name.starts_with("postgres"));
        let counted = sqlx::query("SELECT count(*) FROM pg_stat_statements")
            .execute(&mut connection)
            .await;
        Ok(Self::Postgres {
            connection: Box::new(Mutex::new(connection)),
            postmaster: backend.map(|stat| stat.parent),
            counts_statements: counted.is_ok(),
        })
    }

    pub(super) async fn snapshot(&self, cluster: &Cluster) -> anyhow::Result<Snapshot> {
        let mut snapshot = Snapshot {
            driver_cpu: proc::cpu(std::process::id()),
            ..Snapshot::default()
        };
        for member in &cluster.members {
            let pid = member.process.pid();
            *snapshot.cpu.entry(member.role).or_default() += proc::cpu(pid);
            for (name, cpu) in proc::threads(pid) {
                *snapshot.threads.entry(name).or_default() += cpu;
            }
            snapshot.resident += proc::resident(pid);
            snapshot.written += proc::written(pid);
        }
        match self {
            Self::Sqlite { directory } => {
                snapshot.database.bytes = sqlite_bytes(directory);
                snapshot.database.writes = Some(sqlite_commits(directory));
            }
            Self::Postgres {
                connection,
                postmaster,
                counts_statements,
            } => {
                snapshot.database_cpu = postmaster.map(proc::family_cpu);
                let mut connection = connection.lock().await;
                snapshot.database = counters(&mut connection, *counts_statements).await?;
            }
        }
        Ok(snapshot)
    }
}

/// Statistics of the databases' tables reach us up to a second late.
async fn counters(
    connection: &mut PgConnection,
    counts_statements: bool,
) -> anyhow::Result<Counters> {
    const SQL: &str = "SELECT \
        (SELECT (xact_commit + xact_rollback)::bigint FROM pg_stat_database \
         WHERE datname = current_database()) AS transactions, \
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS writes, \
        (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS wal, \
        pg_database_size(current_database()) AS bytes, \
        (SELECT sum(n_tup_upd)::bigint FROM pg_stat_user_tables \
         WHERE relname IN ('operation', 'attempt')) AS updates";
    const STATEMENTS: &str = "SELECT sum(calls)::bigint FROM pg_stat_statements \
        WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \
        AND query NOT LIKE '%pg_stat%'";
    let context = "cannot read the database's counters";
    let row = sqlx::query(SQL)
        .fetch_one(&mut *connection)
        .await
        .context(context)?;
    let number = |name: &str| -> anyhow::Result<Option<u64>> {
        let value: Option<i64> = row.try_get(name).context(context)?;
        Ok(value.and_then(|value| u64::try_from(value).ok()))
    };
    let statements = if counts_statements {
        let sum: Option<i64> = sqlx::query_scalar(STATEMENTS)
            .fetch_one(&mut *connection)
            .await
            .context(context)?;
        sum.and_then(|sum| u64::try_from(sum).ok())
    } else {
        None
    };
    Ok(Counters {
        transactions: number("transactions")?,
        writes: number("writes")?,
        statements,
        updates: number("updates")?,
        wal: number("wal")?,
        bytes: number("bytes")?.unwrap_or(0),
    })
}

fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

fn sqlite_bytes(directory: &Path) -> u64 {
    let databases = files(directory).filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.contains(".db"))
    });
    databases
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

/// The index of SQLite's write-ahead log counts transactions: `iChange` of its header, in the
/// machine's byte order.
fn sqlite_commits(directory: &Path) -> u64 {
    const COUNTER: std::ops::Range<usize> = 8..12;
    let indexes = files(directory).filter(|file| {
        let name = file.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with(".db-shm"))
    });
    let counters = indexes.filter_map(|index| {
        let bytes = std::fs::read(index).ok()?;
        let counter: [u8; 4] = bytes.get(COUNTER)?.try_into().ok()?;
        Some(u64::from(u32::from_ne_bytes(counter)))
    });
    counters.sum()
}

/// What `operations` operations between two snapshots cost each.
pub(super) fn costs(before: &Snapshot, after: &Snapshot, operations: u64) -> Costs {
    let each = |amount: f64| amount / as_f64(operations.max(1));
    let cpu = |before: Option<&Duration>, after: Duration| {
        let spent = after.saturating_sub(before.copied().unwrap_or_default());
        each(spent.as_secs_f64() * 1e6)
    };
    let per = |before: Option<u64>, after: Option<u64>| {
        let (before, after) = before.zip(after)?;
        Some(each(as_f64(after.saturating_sub(before))))
    };
    let (old, new) = (&before.database, &after.database);
    let by_role = after.cpu.iter();
    let by_thread = after.threads.iter();
    Costs {
        cpu_us: by_role
            .map(|(role, after)| (*role, cpu(before.cpu.get(role), *after)))
            .collect(),
        thread_cpu_us: by_thread
            .map(|(name, after)| (name.clone(), cpu(before.threads.get(name), *after)))
            .filter(|(_, micros)| *micros >= 0.5)
            .collect(),
        database_cpu_us: before
            .database_cpu
            .zip(after.database_cpu)
            .map(|(before, after)| cpu(Some(&before), after)),
        driver_cpu_us: cpu(Some(&before.driver_cpu), after.driver_cpu),
        commits: per(old.writes, new.writes),
        transactions: per(old.transactions, new.transactions),
        statements: per(old.statements, new.statements),
        row_updates: per(old.updates, new.updates),
        wal_bytes: per(old.wal, new.wal),
        database_bytes: each(as_f64(new.bytes) - as_f64(old.bytes)),
        written_bytes: each(as_f64(after.written.saturating_sub(before.written))),
        resident_bytes: after.resident,
    }
}

impl Snapshot {
    /// Processor time of the mesh since an earlier snapshot.
    pub(super) fn mesh_cpu_since(&self, before: &Self) -> Duration {
        let sum = |snapshot: &Self| snapshot.cpu.values().sum::<Duration>();
        sum(self).saturating_sub(sum(before))
    }

    pub(super) fn resident(&self) -> u64 {
        self.resident
    }
}

/// For figures that are shown with three digits.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
pub(super) fn as_f64(number: u64) -> f64 {
    number as f64
}
