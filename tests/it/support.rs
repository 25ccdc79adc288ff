//! The real program, started, killed and started again by a test.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use binnacle_test_support::{Postgres, Scratch, scratch};
use rustix::process::{Pid, Signal, kill_process};

/// How long a start may take on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(60);
/// What the program promises for a stop, and a little for a busy machine.
const STOP: Duration = Duration::from_secs(35);
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// The program with `arguments`, hearing nothing of this process's environment about itself.
pub(crate) fn binnacle<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_binnacle"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("BINNACLE_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program to its end, which has to come within a minute.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut command = binnacle(arguments);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + START;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!(
                "{arguments:?} has not ended: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        sleep(ASK_AGAIN);
    }
    child.wait_with_output().unwrap()
}

/// A running program, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    /// Every address that the program announced, by role.
    addresses: BTreeMap<String, SocketAddr>,
}

impl Process {
    /// Starts a role, or `up`, and waits until it has announced its addresses. Files of its own
    /// go to `directory`, under `name`.
    pub(crate) fn start(directory: &Path, name: &str, command: Command) -> Self {
        let mut process = Self::launch(directory, name, command);
        process.wait_until_ready(directory, name);
        process
    }

    /// As [`Process::start`], for a program that will not become ready.
    pub(crate) fn launch(directory: &Path, name: &str, mut command: Command) -> Self {
        let log = directory.join(format!("{name}.log"));
        let ready = ready_file(directory, name);
        drop(fs::remove_file(&ready));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        command.arg("--ready-file").arg(ready);
        command.stdout(Stdio::null()).stderr(output);
        let child = command.spawn().unwrap();
        Self {
            child,
            log,
            addresses: BTreeMap::new(),
        }
    }

    /// Waits for the announcement.
    pub(crate) fn wait_until_ready(&mut self, directory: &Path, name: &str) {
        let ready = ready_file(directory, name);
        let deadline = Instant::now() + START;
        loop {
            if let Ok(text) = fs::read_to_string(&ready) {
                self.addresses = serde_json::from_str(&text).unwrap();
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!(
                    "{name} ended with {status} instead of becoming ready:\n{}",
                    self.log()
                );
            }
            assert!(
                Instant::now() < deadline,
                "{name} is not ready:\n{}",
                self.log()
            );
            sleep(ASK_AGAIN);
        }
    }

    /// Where it serves as `role`: gateway, director, scheduler, executor or operations.
    pub(crate) fn address(&self, role: &str) -> SocketAddr {
        *self
            .addresses
            .get(role)
            .unwrap_or_else(|| panic!("no {role} in {:?}", self.addresses))
    }

    /// Everything that it has logged, earlier runs under the same name included.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// `kill -9`, and waits until it is dead.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait(STOP)
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it has not ended:\n{}",
                self.log()
            );
            sleep(ASK_AGAIN);
        }
    }

    /// True while it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8000);
            let tail = log.get(from..).unwrap_or(&log);
            eprintln!("--- {}\n{tail}", self.log.display());
        }
    }
}

fn ready_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.ready.json"))
}

/// Where a mesh keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Sqlite,
    Postgres,
}

/// A mesh of real processes on free ports. A part that is started again keeps its addresses, its
/// data and its database.
#[derive(Debug)]
pub(crate) struct Mesh {
    /// By name: `up`, or the roles.
    parts: BTreeMap<&'static str, Part>,
    database: Option<String>,
    directory: Scratch,
    options: Vec<String>,
}

#[derive(Debug)]
struct Part {
    process: Process,
    arguments: Vec<String>,
}

impl Mesh {
    /// All roles in one process.
    pub(crate) fn start(storage: Storage) -> Self {
        Self::start_with(storage, &[])
    }

    /// All roles in one process, with further options.
    pub(crate) fn start_with(storage: Storage, options: &[&str]) -> Self {
        let mut mesh = Self::empty(storage, options);
        mesh.add("up", Vec::new());
        mesh
    }

    /// Each role in a process of its own. On SQLite each service has its own data directory's
    /// files, so one of each is all there can be; on PostgreSQL [`Mesh::add`] makes replicas.
    pub(crate) fn start_roles(storage: Storage) -> Self {
        let mut mesh = Self::empty(storage, &[]);
        mesh.add("scheduler", Vec::new());
        mesh.add("executor", Vec::new());
        let scheduler = mesh.address("scheduler").to_string();
        mesh.add(
            "gateway",
            vec!["--scheduler-addr".into(), scheduler.clone()],
        );
        mesh.add(
            "operations",
            vec![
                "--scheduler-addr".into(),
                scheduler,
                "--executor-addr".into(),
                mesh.address("executor").to_string(),
                "--director-addr".into(),
                mesh.address("director").to_string(),
            ],
        );
        mesh
    }

    fn empty(storage: Storage, options: &[&str]) -> Self {
        Self {
            parts: BTreeMap::new(),
            database: (storage == Storage::Postgres).then(|| Postgres::shared().create_database()),
            directory: scratch(),
            options: options.iter().map(ToString::to_string).collect(),
        }
    }

    /// Starts `part`, a role or `up`, with `arguments` besides what every part is given.
    pub(crate) fn add(&mut self, part: &'static str, arguments: Vec<String>) {
        let process = self.spawn(part, part, &arguments, &[]);
        self.parts.insert(part, Part { process, arguments });
    }

    /// Another process of `role`, not restarted with the mesh. Its data directory is its own.
    pub(crate) fn replica(&self, role: &str, name: &str, arguments: &[String]) -> Process {
        self.spawn(role, name, arguments, &[])
    }

    fn spawn(
        &self,
        role: &str,
        name: &str,
        arguments: &[String],
        environment: &[(&str, &str)],
    ) -> Process {
        let directory = self.directory.path();
        let mut command = binnacle(&[role]);
        command
            .args(["--log", "info,sqlx=warn"])
            .args(arguments)
            .args(&self.options);
        for own in own_addresses(role) {
            let flag = format!("--{own}-addr");
            let fixed = self.parts.get(name).map(|part| part.process.address(own));
            if !arguments.contains(&flag) {
                let free = SocketAddr::from(([127, 0, 0, 1], 0));
                command.arg(flag).arg(fixed.unwrap_or(free).to_string());
            }
        }
        if role != "executor" {
            command
                .arg("--data-dir")
                .arg(directory.join(format!("{name}-data")));
        }
        if let (Some(url), false) = (&self.database, matches!(role, "executor" | "operations")) {
            command.args(["--database-url", url]);
        }
        command.envs(environment.iter().copied());
        Process::start(directory, name, command)
    }

    /// A part's process.
    pub(crate) fn part(&mut self, name: &str) -> &mut Process {
        let part = self
            .parts
            .get_mut(name)
            .unwrap_or_else(|| panic!("no part {name}"));
        &mut part.process
    }

    /// Where `role` serves, whichever part it is in.
    pub(crate) fn address(&self, role: &str) -> SocketAddr {
        let mut processes = self.parts.values().map(|part| &part.process);
        let process = processes.find(|process| process.addresses.contains_key(role));
        process
            .unwrap_or_else(|| panic!("nobody serves as {role}"))
            .address(role)
    }

    /// The URL of `path` at the gateway's HTTP door.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address("gateway"))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, name: &str) {
        self.part(name).kill();
    }

    /// Starts a part that was killed or has ended, where it was.
    pub(crate) fn restart(&mut self, name: &'static str) {
        self.restart_with(name, &[]);
    }

    /// As [`Mesh::restart`], with additions to the environment for this run only.
    pub(crate) fn restart_with(&mut self, name: &'static str, environment: &[(&str, &str)]) {
        self.part(name).kill();
        let arguments = self
            .parts
            .get(name)
            .map(|part| part.arguments.clone())
            .unwrap_or_default();
        let process = self.spawn(name, name, &arguments, environment);
        self.parts.insert(name, Part { process, arguments });
    }

    /// The database, when it is PostgreSQL.
    pub(crate) fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Where a part keeps its data.
    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}-data"))
    }
}

/// The roles whose addresses a command binds.
fn own_addresses(command: &str) -> &'static [&'static str] {
    match command {
        "up" => &["gateway", "director", "scheduler", "executor", "operations"],
        "gateway" => &["gateway", "director"],
        "scheduler" => &["scheduler"],
        "executor" => &["executor"],
        "operations" => &["operations"],
        other => panic!("{other} is no role"),
    }
}
