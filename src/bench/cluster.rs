//! The mesh that is measured: child processes of this same executable, so that their processor
//! time and memory are apart from the clients'.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use url::Url;

use super::process::{Process, Program};

const PATIENCE: Duration = Duration::from_mins(2);
const ASK_AGAIN: Duration = Duration::from_millis(2);
const FREE: &str = "127.0.0.1:0";
/// How much of a log is shown when something went wrong.
const LAST_LINES: usize = 12;

/// One process with one role or all of them.
pub(super) struct Member {
    pub(super) role: &'static str,
    pub(super) process: Process,
    addresses: HashMap<String, SocketAddr>,
    log: PathBuf,
    /// From its start until it said that it is ready.
    pub(super) ready_after: Duration,
}

/// Everything that runs.
pub(super) struct Cluster {
    pub(super) members: Vec<Member>,
}

/// Where the processes keep what they have.
pub(super) struct Place<'a> {
    pub(super) directory: &'a Path,
    /// None: SQLite, in the directory.
    pub(super) database: Option<&'a Url>,
}

/// The roles that can have a process of their own.
const ROLES: usize = 4;
/// How many worker threads a process has, as tokio reads it; else one for each processor.
const THREADS: &str = "TOKIO_WORKER_THREADS";

impl Cluster {
    /// All roles in one process.
    pub(super) async fn all_in_one(place: &Place<'_>) -> anyhow::Result<Self> {
        let flags = ["gateway", "director", "scheduler", "executor", "operations"]
            .map(|name| (format!("--{name}-addr"), FREE.to_owned()));
        let command = command(place, "up", place.directory)?;
        let member = Member::start("up", command, place.directory, &flags).await?;
        Ok(Self {
            members: vec![member],
        })
    }

    /// Every role as `replicas` processes of its own, among which the processors are divided: with a thread for each
    /// processor in every one of them, they would take them from one another.
    pub(super) async fn replicated(place: &Place<'_>, replicas: usize) -> anyhow::Result<Self> {
        let mut cluster = Self {
            members: Vec::new(),
        };
        let own = |name: &str| (format!("--{name}-addr"), FREE.to_owned());
        cluster
            .add(place, "scheduler", replicas, &[own("scheduler")])
            .await?;
        cluster
            .add(place, "executor", replicas, &[own("executor")])
            .await?;
        let schedulers = cluster.peers("scheduler");
        let flags = [own("gateway"), own("director"), schedulers.clone()];
        cluster.add(place, "gateway", replicas, &flags).await?;
        let peers = ["executor", "director"].map(|name| cluster.peers(name));
        let flags = [own("operations"), schedulers];
        let flags: Vec<_> = flags.into_iter().chain(peers).collect();
        cluster.add(place, "operations", replicas, &flags).await?;
        Ok(cluster)
    }

    async fn add(
        &mut self,
        place: &Place<'_>,
        role: &'static str,
        replicas: usize,
        flags: &[(String, String)],
    ) -> anyhow::Result<()> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (processors / (ROLES * replicas)).max(1);
        for number in 0..replicas {
            let directory = place.directory.join(format!("{role}-{number}"));
            let mut command = command(place, role, &directory)?;
            command.env(THREADS, threads.to_string());
            let member = Member::start(role, command, &directory, flags).await?;
            self.members.push(member);
        }
        Ok(())
    }

    /// Where all members listen under this name.
    pub(super) fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let found = self.members.iter();
        found
            .filter_map(|member| member.addresses.get(name).copied())
            .collect()
    }

    fn peers(&self, name: &str) -> (String, String) {
        let addresses: Vec<String> = self
            .addresses(name)
            .iter()
            .map(ToString::to_string)
            .collect();
        (format!("--{name}-addr"), addresses.join(","))
    }

    /// Fails when a process has ended.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for member in &self.members {
            if !member.process.is_running() {
                bail!(
                    "the process under test ({}) has ended:\n{}",
                    member.role,
                    member.last_words()
                );
            }
        }
        Ok(())
    }
}

impl Member {
    async fn start(
        role: &'static str,
        mut command: Command,
        directory: &Path,
        flags: &[(String, String)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let ready = directory.join("ready.json");
        let log = directory.join("log");
        command.args(flags.iter().flat_map(|(flag, value)| [flag, value]));
        command.arg("--ready-file").arg(&ready);
        // What an earlier process announced is no longer true.
        let _ = std::fs::remove_file(&ready);
        let started = Instant::now();
        let process = Process::start(Program {
            command,
            log: &log,
            signal: "KILL",
            leaves: None,
            owner: None,
        })?;
        let mut member = Self {
            role,
            process,
            addresses: HashMap::new(),
            log,
            ready_after: Duration::ZERO,
        };
        let text = member.wait(&ready, started).await?;
        member.ready_after = started.elapsed();
        member.addresses = serde_json::from_str(&text).context("the ready file is no JSON")?;
        Ok(member)
    }

    async fn wait(&self, ready: &Path, started: Instant) -> anyhow::Result<String> {
        loop {
            if let Ok(text) = std::fs::read_to_string(ready) {
                return Ok(text);
            }
            if started.elapsed() > PATIENCE || !self.process.is_running() {
                bail!("{} did not start:\n{}", self.role, self.last_words());
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

/// The command for a role, with nothing of this process's configuration.
fn command(place: &Place<'_>, role: &str, directory: &Path) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let mut command = Command::new(program);
    command.arg(role).args(["--log", "warn"]);
    if matches!(role, "up" | "gateway" | "scheduler" | "operations") {
        command.arg("--data-dir").arg(directory);
    }
    for (name, _) in std::env::vars_os() {
        if is_ours(&name) {
            command.env_remove(name);
        }
    }
    // Not on the command line, which everybody on the machine can read.
    if let Some(url) = place.database
        && matches!(role, "up" | "gateway" | "scheduler")
    {
        command.env("BINNACLE_DATABASE_URL", url.as_str());
    }
    Ok(command)
}

fn is_ours(name: &OsString) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("BINNACLE_") || name.starts_with("OTEL_"))
}
