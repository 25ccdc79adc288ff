//! A PostgreSQL server of the test process's own.
//!
//! The server runs under a small shell script that holds the reading end of a pipe. However this
//! process ends, `kill -9` included, the pipe closes, and the script stops the server and removes
//! its directory. A parent-death signal would not do: it fires when the *thread* that started the
//! server ends, and the test harness gives every test a thread of its own.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const PACKAGE: &str = "postgresql (the server; `apt-get install postgresql`)";
const BINARIES: &str = "BINNACLE_POSTGRES_BIN";

/// How long a start may take on a machine that is busy compiling.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the server, stops it at once when a line or the end of the input comes, and removes the
/// directory at the end of the input.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
"$1" -D "$2/data" >"$2/log" 2>&1 </dev/null &
server=$!
read -r line
kill -QUIT "$server" 2>/dev/null
wait "$server"
[ "$line" = keep ] || rm -rf "$2"
"#;

/// Whether commits reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` and full-page writes are off: a commit survives the death of the server but not
    /// that of the machine.
    #[default]
    Relaxed,
    /// As PostgreSQL is delivered. For benchmarks.
    Full,
}

/// A running server. Dropping it stops it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    directory: PathBuf,
    owner: Option<(u32, u32)>,
    port: u16,
    /// `None` while the server is stopped.
    watchdog: Option<Child>,
    databases: AtomicU32,
}

impl Postgres {
    /// The server that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Durability::Relaxed))
    }

    /// A server of its own, for a test that stops it and for measurements.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed or does not start.
    pub fn start(durability: Durability) -> Self {
        let binaries = find_binaries();
        let owner = unprivileged_owner();
        let directory = make_directory(owner);
        let mut server = Self {
            binaries,
            directory,
            owner,
            port: 0,
            watchdog: None,
            databases: AtomicU32::new(0),
        };
        server.initialise();
        server.configure(durability);
        server.launch_on_a_free_port();
        server
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database of this server, over TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1. It stays the same over [`stop`](Self::stop) and
    /// [`resume`](Self::resume).
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory that holds the server's Unix socket, for `PGHOST` and for tools that
    /// take it instead of a host name.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// Where `psql`, `pgbench` and the server's other programs are.
    pub fn binaries(&self) -> &Path {
        &self.binaries
    }

    /// Runs one statement as the superuser and returns what `psql` printed, one row a line.
    ///
    /// # Panics
    ///
    /// When the statement fails.
    pub fn execute(&self, sql: &str) -> String {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .arg(self.url("postgres"));
        succeed(&mut psql)
    }

    /// Runs statements on a database of this server and returns how the server went about each, as
    /// `EXPLAIN (ANALYZE)` tells it: those inside functions too, which `EXPLAIN` does not show.
    ///
    /// # Panics
    ///
    /// When a statement fails.
    pub fn explain(&self, url: &str, sql: &str) -> String {
        const TELL: &str = "-c session_preload_libraries=auto_explain \
             -c auto_explain.log_min_duration=0 -c auto_explain.log_nested_statements=on \
             -c auto_explain.log_analyze=on -c auto_explain.log_level=notice";
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, url])
            .env("PGOPTIONS", TELL);
        let told = run(&mut psql).stderr;
        String::from_utf8_lossy(&told).into_owned()
    }

    /// Ends the server as a crash would: every connection breaks, nothing is written any more.
    /// The data stays.
    pub fn stop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            if let Some(mut input) = watchdog.stdin.take() {
                // A watchdog that is gone already has nothing left to stop.
                drop(input.write_all(b"keep\n"));
            }
            drop(watchdog.wait());
        }
    }

    /// Starts the server again after [`stop`](Self::stop), on the same port and data.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn resume(&mut self) {
        let runs = self.watchdog.is_some() || self.launch();
        assert!(runs, "PostgreSQL did not start again:\n{}", self.log());
    }

    fn initialise(&self) {
        let mut initdb = self.as_owner(&self.binaries.join("initdb"));
        initdb
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--no-sync", "--no-instructions", "-D"])
            .arg(self.directory.join("data"));
        succeed(&mut initdb);
    }

    fn configure(&self, durability: Durability) {
        let mut settings = format!(
            "\nlisten_addresses = '127.0.0.1'\n\
             unix_socket_directories = '{}'\n\
             max_connections = 400\n\
             timezone = 'UTC'\n",
            self.directory.display()
        );
        settings.push_str(match durability {
            Durability::Relaxed => {
                "fsync = off\nfull_page_writes = off\n\
                 shared_buffers = '32MB'\nautovacuum = off\n"
            }
            Durability::Full => "shared_buffers = '256MB'\nmax_wal_size = '4GB'\n",
        });
        let file = self.directory.join("data/postgresql.auto.conf");
        fs::write(&file, settings).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// Between finding a free port and taking it somebody else may: then it is another port's
    /// turn.
    fn launch_on_a_free_port(&mut self) {
        for _ in 0..5 {
            self.port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|listener| listener.local_addr())
                .unwrap_or_else(|error| panic!("no free port: {error}"))
                .port();
            self.set_port();
            if self.launch() {
                return;
            }
        }
        panic!("PostgreSQL did not start:\n{}", self.log());
    }

    fn set_port(&self) {
        let file = self.directory.join("data/postgresql.conf");
        fs::write(&file, format!("port = {}\n", self.port))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// True once the server accepts connections, false if it ended instead.
    fn launch(&mut self) -> bool {
        let mut shell = self.as_owner(Path::new("/bin/sh"));
        shell
            .args(["-c", WATCHDOG, "postgres-watchdog"])
            .arg(self.binaries.join("postgres"))
            .arg(&self.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        let pid_file = self.directory.join("data/postmaster.pid");
        drop(fs::remove_file(&pid_file));
        // What clients were told while an earlier run ended says nothing about this one.
        drop(fs::remove_file(self.directory.join("log")));
        self.watchdog = Some(
            shell
                .spawn()
                .unwrap_or_else(|error| panic!("cannot run /bin/sh: {error}")),
        );
        let mut seen = false;
        while started.elapsed() < PATIENCE {
            match fs::read_to_string(&pid_file) {
                Ok(lines) if lines.lines().nth(7).is_some_and(|s| s.trim() == "ready") => {
                    return true;
                }
                Ok(_) => seen = true,
                Err(_) if seen || self.log().contains("FATAL") => break,
                Err(_) => {}
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.stop();
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn as_owner(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.directory).env("LC_ALL", "C");
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
        drop(fs::remove_dir_all(&self.directory));
    }
}

fn find_binaries() -> PathBuf {
    if let Some(given) = std::env::var_os(BINARIES) {
        let given = PathBuf::from(given);
        assert!(
            given.join("initdb").is_file(),
            "{BINARIES}={} holds no initdb; it has to name the folder of the programs of {PACKAGE}",
            given.display()
        );
        return given;
    }
    let mut candidates = debian_folders();
    candidates.extend(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .filter_map(|folder| fs::canonicalize(folder.join("initdb")).ok())
            .filter_map(|initdb| initdb.parent().map(Path::to_owned)),
    );
    candidates
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .unwrap_or_else(|| {
            panic!(
                "this test needs a PostgreSQL server and found no initdb under \
                 /usr/lib/postgresql/*/bin or on the PATH: install {PACKAGE}, or name the \
                 folder of its programs in {BINARIES}"
            )
        })
}

/// Newest first.
fn debian_folders() -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = OsString::into_string(entry.file_name()).ok()?;
            Some((version.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// PostgreSQL refuses to run as root, so root runs it as the user whom the package made.
fn unprivileged_owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let owner = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some((uid, gid))
    });
    assert!(
        owner.is_some(),
        "PostgreSQL does not run as root and there is no user `postgres`: install {PACKAGE}"
    );
    owner
}

fn make_directory(owner: Option<(u32, u32)>) -> PathBuf {
    let directory = super::scratch().keep();
    if let Some((uid, gid)) = owner {
        chown(&directory, Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    }
    directory
}

/// What it printed, if all went well.
fn succeed(command: &mut Command) -> String {
    String::from_utf8_lossy(&run(command).stdout).into_owned()
}

fn run(command: &mut Command) -> Output {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
