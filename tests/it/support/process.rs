//! One process of the binary.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use binnacle_test_support::until;
use rustix::process::{Pid, Signal, kill_process};

use super::PATIENCE;

/// How much of a log is shown when a test fails, so that what failed is not lost in it: so many lines, and of each so
/// many characters.
const LAST_LINES: usize = 40;
const LINE: usize = 240;

/// The program with `arguments`, hearing nothing of this process's environment about itself.
pub(crate) fn binnacle<A: AsRef<OsStr>>(arguments: &[A]) -> Command {
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

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    binnacle(arguments).output().unwrap()
}

/// A process, which keeps its addresses and its data over restarts. Its log grows in one file.
pub(crate) struct Process {
    pub(crate) name: String,
    directory: PathBuf,
    /// The sub-command and what is always given.
    arguments: Vec<String>,
    /// The flags for addresses to listen on, by the names in the ready file.
    listens: Vec<&'static str>,
    /// The loopback address that no other mesh uses, so that a port stays free while its process is down.
    host: String,
    environment: BTreeMap<String, String>,
    addresses: BTreeMap<String, SocketAddr>,
    child: Option<Child>,
}

impl Process {
    pub(crate) fn new(name: &str, directory: &Path, host: &str) -> Self {
        let directory = directory.join(name);
        fs::create_dir_all(&directory).unwrap();
        Self {
            name: name.to_owned(),
            directory,
            arguments: Vec::new(),
            listens: Vec::new(),
            host: host.to_owned(),
            environment: BTreeMap::new(),
            addresses: BTreeMap::new(),
            child: None,
        }
    }

    pub(crate) fn arguments<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn listens(mut self, names: &[&'static str]) -> Self {
        self.listens = names.to_vec();
        self
    }

    /// Has every start from now on end or freeze at a failpoint: `NAME=ACTION[@N]`.
    pub(crate) fn arm(&mut self, failpoint: &str) {
        self.environment
            .insert("BINNACLE_FAILPOINT".to_owned(), failpoint.to_owned());
    }

    pub(crate) fn disarm(&mut self) {
        self.environment.remove("BINNACLE_FAILPOINT");
    }

    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.environment
            .insert(variable.to_owned(), value.to_owned());
    }

    /// Where what has to survive a restart is.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        *self
            .addresses
            .get(name)
            .unwrap_or_else(|| panic!("{} does not listen as {name}", self.name))
    }

    /// The address, if it has ever listened as `name`.
    pub(crate) fn bound(&self, name: &str) -> Option<SocketAddr> {
        self.addresses.get(name).copied()
    }

    /// The file that it is to announce its addresses in.
    pub(crate) fn ready_file(&self) -> PathBuf {
        self.directory.join("ready.json")
    }

    /// Everything that it has logged, over all its starts.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Starts it without waiting for anything.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let ready_file = self.ready_file();
        drop(fs::remove_file(&ready_file));
        self.launch_over(&ready_file);
    }

    /// As [`launch`](Self::launch), with what an earlier start has left in the ready file.
    pub(crate) fn launch_over(&mut self, ready_file: &Path) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let mut command = binnacle(&self.arguments);
        command
            .arg("--ready-file")
            .arg(ready_file)
            .args(["--log-format", "json"]);
        for name in &self.listens {
            let address = match self.addresses.get(*name) {
                Some(address) => address.to_string(),
                None => format!("{}:0", self.host),
            };
            command.args([format!("--{name}-addr"), address]);
        }
        let child = command
            .envs(&self.environment)
            .current_dir(&self.directory)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// Waits until it has announced its addresses.
    pub(crate) async fn ready(&mut self) {
        let ready_file = self.ready_file();
        let end = tokio::time::Instant::now() + PATIENCE;
        let text = loop {
            if let Ok(text) = fs::read_to_string(&ready_file) {
                break text;
            }
            if let Some(status) = self.ended() {
                panic!(
                    "{} ended instead of starting: {status}\n{}",
                    self.name,
                    self.last_lines()
                );
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{} is not ready\n{}",
                self.name,
                self.last_lines()
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        let announced: BTreeMap<String, SocketAddr> = serde_json::from_str(&text).unwrap();
        self.addresses.extend(announced);
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// How it ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap();
        if status.is_some() {
            self.child = None;
        }
        status
    }

    /// Waits until it has ended by itself, as at an armed failpoint.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{name} still runs\n{}",
                self.last_lines()
            );
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    fn signal(&self, signal: Signal) {
        let child = self
            .child
            .as_ref()
            .unwrap_or_else(|| panic!("{} does not run", self.name));
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// `kill -TERM`, and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end().await
    }

    /// `kill -STOP`.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -CONT`.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits until a failpoint has frozen it.
    pub(crate) async fn frozen(&self) {
        let pid = self.child.as_ref().unwrap().id();
        until(PATIENCE, || async move {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
                let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
                state.is_some_and(|state| state.starts_with('T'))
            })
        })
        .await;
    }

    pub(crate) fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<String> = log
            .lines()
            .map(|line| line.chars().take(LINE).collect())
            .collect();
        let from = lines.len().saturating_sub(LAST_LINES);
        format!("--- {}:\n{}", self.name, lines[from..].join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.last_lines());
        }
        self.kill();
    }
}
