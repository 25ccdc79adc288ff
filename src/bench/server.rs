//! The PostgreSQL server to measure on: one that the user named, or one of our own.
//!
//! On a server that the user named, everything happens in databases that are made for it and
//! dropped in the end.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use url::Url;

use super::process::{Process, Program};

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How many segments of 16 MiB the log of a server of our own has in stock.
///
/// A server that has just been made fills each new segment with zeroes and syncs it, while whoever commits waits;
/// one that has been running takes an old one. What is measured is one that has been running.
const LOG_SEGMENTS: u32 = 128;
/// What was asked for when we were interrupted may take so long to happen.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// As PostgreSQL is delivered, but for its size, and with what counts statements.
const SETTINGS: &str = "\
    listen_addresses = '127.0.0.1'\n\
    max_connections = 400\n\
    timezone = 'UTC'\n\
    shared_buffers = '1GB'\n\
    max_wal_size = '8GB'\n\
    jit = off\n\
    fsync = on\n\
    synchronous_commit = on\n\
    full_page_writes = on\n";
const COUNT_STATEMENTS: &str = "\
    shared_preload_libraries = 'pg_stat_statements'\n\
    pg_stat_statements.track_planning = off\n";

/// A server and the databases that were made on it.
pub(super) struct Server {
    url: Url,
    made: Mutex<Vec<String>>,
    next: AtomicU32,
    /// None: it is the user's.
    own: Option<Own>,
}

/// A server of our own.
struct Own {
    process: Process,
    directory: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(Own { process, directory }) = self.own.take() {
            drop(process);
            // What guards the process has removed what is in it, and itself too where it may.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// A database of our own on the server.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) url: Url,
}

impl Database {
    pub(super) fn options(&self) -> anyhow::Result<PgConnectOptions> {
        options(&self.url)
    }

    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect_with(&self.options()?)
            .await
            .context("the database does not take a connection")
    }
}

fn options(url: &Url) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.as_str()).context("not a PostgreSQL URL")?;
    let options = options.application_name("binnacle-bench");
    Ok(options.disable_statement_logging())
}

impl Server {
    /// The server that `url` names; it has to answer.
    pub(super) async fn named(url: Url) -> anyhow::Result<Self> {
        let server = Self::new(url, None);
        let mut shown = server.url.clone();
        // Fails only for URLs without a host, which hold no password either.
        let _ = shown.set_password(None);
        let connection = tokio::time::timeout(PATIENCE, server.connect()).await;
        let connection = connection.map_err(|_| anyhow!("no answer"));
        let connection = connection.flatten().with_context(|| {
            format!("cannot use the database at {shown}; check the address, or start the server")
        })?;
        connection.close().await.context("cannot disconnect")?;
        Ok(server)
    }

    /// A server of our own in a directory below `parent`.
    pub(super) async fn temporary(parent: &Path) -> anyhow::Result<Self> {
        let programs = programs().context(
            "PostgreSQL is not installed here; name a server with --database-url, or measure \
             --database sqlite alone",
        )?;
        let owner = unprivileged_owner()?;
        let directory = tempfile::Builder::new()
            .prefix("binnacle-bench-postgres-")
            .tempdir_in(parent)
            .context("cannot make a temporary directory")?;
        if let Some((user, group)) = owner {
            chown(directory.path(), Some(user), Some(group))
                .context("cannot hand a directory to the user postgres")?;
        }
        initialise(&programs, directory.path(), owner)?;
        // From here on the process that guards the server removes it.
        let directory = directory.keep();
        let log = directory.join("log");
        let port = free_port()?;
        configure(&programs, &directory, port)?;
        let mut command = Command::new(programs.join("postgres"));
        command.arg("-D").arg(directory.join("data"));
        let process = Process::start(Program {
            command,
            log: &log,
            signal: "QUIT",
            leaves: Some(&directory),
            owner,
        })?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let own = Own { process, directory };
        let server = Self::new(url.parse().context("not a URL")?, Some(own));
        server.wait(&log).await?;
        Ok(server)
    }

    /// Has a server of our own stock its log, as one does that has been running.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        if self.own.is_none() {
            return Ok(());
        }
        let fill = format!(
            "DO $$ BEGIN FOR n IN 1..{LOG_SEGMENTS} LOOP \
             PERFORM pg_logical_emit_message(false, 'binnacle', ''); \
             PERFORM pg_switch_wal(); \
             END LOOP; END $$"
        );
        let mut connection = self.connect().await?;
        for statement in [fill.as_str(), "CHECKPOINT"] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .context("cannot stock the log of PostgreSQL")?;
        }
        Ok(())
    }

    fn new(url: Url, own: Option<Own>) -> Self {
        Self {
            url,
            made: Mutex::default(),
            next: AtomicU32::new(0),
            own,
        }
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&options(&self.url)?).await?)
    }

    async fn wait(&self, log: &Path) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while let Err(error) = self.connect().await {
            let has_ended = self
                .own
                .as_ref()
                .is_some_and(|own| !own.process.is_running());
            if has_ended || tokio::time::Instant::now() > deadline {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(error.context(format!("PostgreSQL did not start:\n{said}")));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        Ok(())
    }

    /// Makes an empty database.
    pub(super) async fn create_database(&self) -> anyhow::Result<Database> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("binnacle_bench_{}_{number}", std::process::id());
        let mut url = self.url.clone();
        url.set_path(&name);
        let mut connection = self.connect().await?;
        self.made().push(name.clone());
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create)
            .execute(&mut connection)
            .await
            .context(
                "cannot make a database to measure in; the user needs the right to (ALTER ROLE … CREATEDB)",
            )?;
        let database = Database { name, url };
        let mut inside = database.connect().await?;
        // Counts statements where it is there and may be had.
        let _ = sqlx::query("CREATE EXTENSION pg_stat_statements")
            .execute(&mut inside)
            .await;
        Ok(database)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops a database, with whoever is still connected to it.
    pub(super) async fn drop_database(&self, name: &str) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        sqlx::query(drop)
            .execute(&mut connection)
            .await
            .with_context(|| format!("cannot drop the database {name}"))?;
        self.made().retain(|made| made != name);
        Ok(())
    }

    /// Drops every database that was made and is still there, or is still being made.
    pub(super) async fn clean(&self) -> anyhow::Result<()> {
        if self.own.is_some() || self.made().is_empty() {
            return Ok(());
        }
        tokio::time::sleep(LAST_MOMENT).await;
        let names = self.made().clone();
        for name in names {
            self.drop_database(&name).await?;
        }
        Ok(())
    }

    /// What the server is, as far as it matters for speed.
    pub(super) async fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        const SQL: &str = "SELECT name, current_setting(name) FROM pg_settings WHERE name IN \
            ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', \
            'shared_buffers', 'max_wal_size', 'wal_sync_method', 'max_connections', \
            'shared_preload_libraries') ORDER BY name";
        let mut connection = self.connect().await?;
        sqlx::query_as(SQL)
            .fetch_all(&mut connection)
            .await
            .context("cannot ask the server for its settings")
    }
}

fn initialise(programs: &Path, directory: &Path, owner: Option<(u32, u32)>) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt as _;

    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
        .args(["--locale=C", "--no-instructions", "-D"])
        .arg(directory.join("data"))
        .current_dir(directory)
        .stdin(Stdio::null());
    if let Some((user, group)) = owner {
        initdb.uid(user).gid(group);
    }
    let output = initdb.output().context("cannot run initdb")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn configure(programs: &Path, directory: &Path, port: u16) -> anyhow::Result<()> {
    let mut settings = format!(
        "port = {port}\nunix_socket_directories = '{}'\n{SETTINGS}",
        directory.display()
    );
    let library = programs.with_file_name("lib").join("pg_stat_statements.so");
    if library.is_file() {
        settings.push_str(COUNT_STATEMENTS);
    }
    fs::write(directory.join("data/postgresql.auto.conf"), settings)
        .context("cannot configure PostgreSQL")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

/// The folder with the programs of the newest server that is installed.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<(u32, PathBuf)> = installed
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let versions = versions.into_iter().map(|(_, folder)| folder);
    let others = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(PathBuf::from);
    let is_there = |folder: &PathBuf| folder.join("initdb").is_file();
    versions.chain(others).find(is_there)
}

/// PostgreSQL refuses to run as root, so root runs it as the user whom its package made.
fn unprivileged_owner() -> anyhow::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    let missing = "PostgreSQL does not run as root, and there is no user postgres; name a server \
                   with --database-url";
    ids.map(Some).context(missing)
}
