//! A process that ends with this one, however this one ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// Runs the command, tells its id, and ends it when the end of the input comes: so the pipe to
/// this process is what keeps it alive. A signal that comes before the command listens is lost, so after 30 s it is
/// killed.
const GUARD: &str = r#"
trap '' HUP INT TERM
log=$1; signal=$2; leave=$3; shift 3
"$@" </dev/null >>"$log" 2>&1 &
child=$!
echo "$child"
read -r _
kill -"$signal" "$child" 2>/dev/null
left=300
while [ "$left" -gt 0 ] && sleep 0.1 && kill -0 "$child" 2>/dev/null; do left=$((left - 1)); done
kill -KILL "$child" 2>/dev/null
wait "$child"
[ -z "$leave" ] || rm -rf "$leave"
"#;

/// What to run.
pub(super) struct Program<'a> {
    pub(super) command: Command,
    /// Where its output goes.
    pub(super) log: &'a Path,
    /// The signal that ends it.
    pub(super) signal: &'static str,
    /// Removed when it has ended.
    pub(super) leaves: Option<&'a Path>,
    /// The user and group it runs as, when not this process's.
    pub(super) owner: Option<(u32, u32)>,
}

/// A running process. Dropping it ends it.
pub(super) struct Process {
    guard: Child,
    pid: u32,
}

impl Process {
    pub(super) fn start(program: Program<'_>) -> anyhow::Result<Self> {
        let Program {
            command,
            log,
            signal,
            leaves,
            owner,
        } = program;
        File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", GUARD, "binnacle-bench"]).arg(log);
        shell.arg(signal).arg(leaves.unwrap_or(Path::new("")));
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(log, Some(user), Some(group))
                .with_context(|| format!("cannot hand {} over", log.display()))?;
            shell.uid(user).gid(group);
        }
        let mut guard = shell
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a process")?;
        let mut line = String::new();
        let output = guard.stdout.take().context("a process has no output")?;
        BufReader::new(output)
            .read_line(&mut line)
            .context("cannot read a process's id")?;
        let pid = line.trim().parse().context("a process has no id")?;
        Ok(Self { guard, pid })
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not ended by itself.
    pub(super) fn is_running(&self) -> bool {
        super::proc::Stat::read(self.pid).is_some_and(|stat| !stat.is_zombie)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        // The guard ends after its process; there is nothing to do about one that does not.
        let _ = self.guard.wait();
    }
}
