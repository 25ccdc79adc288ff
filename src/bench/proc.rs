//! What the kernel says about processes.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A tick of the clock in which the kernel counts processor time.
const TICK: Duration = Duration::from_millis(10);

/// A line of `/proc/PID/stat`.
pub(super) struct Stat {
    pub(super) name: String,
    pub(super) parent: u32,
    pub(super) is_zombie: bool,
    /// User and system time.
    pub(super) cpu: Duration,
    /// That of the children that have ended and been waited for.
    pub(super) ended: Duration,
}

impl Stat {
    pub(super) fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(')')?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n)?.parse::<u32>().ok();
        Some(Self {
            name: name.to_owned(),
            is_zombie: *fields.first()? == "Z",
            parent: fields.get(1)?.parse().ok()?,
            cpu: TICK * (ticks(11)? + ticks(12)?),
            ended: TICK * (ticks(13)? + ticks(14)?),
        })
    }
}

/// Processor time of a process.
pub(super) fn cpu(pid: u32) -> Duration {
    Stat::read(pid).map_or(Duration::ZERO, |stat| stat.cpu)
}

/// Processor time of a process by the names of its threads.
pub(super) fn threads(pid: u32) -> BTreeMap<String, Duration> {
    let mut threads = BTreeMap::new();
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        let line = fs::read_to_string(task.path().join("stat"));
        if let Some(stat) = line.ok().as_deref().and_then(Stat::parse) {
            *threads.entry(stat.name).or_default() += stat.cpu;
        }
    }
    threads
}

/// Processor time of a process and of all the children that it has or had.
pub(super) fn family_cpu(pid: u32) -> Duration {
    let own = Stat::read(pid).map_or(Duration::ZERO, |stat| stat.cpu + stat.ended);
    let children = all().filter_map(Stat::read);
    let children = children.filter(|stat| stat.parent == pid);
    own + children.map(|stat| stat.cpu).sum::<Duration>()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Resident memory in bytes.
pub(super) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    kilobytes(&status, "VmRSS:") * 1024
}

fn kilobytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Bytes that a process has made the kernel send to a disk.
pub(super) fn written(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The load average of the last minute.
pub(super) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_shifts_nothing() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194304 1 0 0 0 150 50 20 10 20 0 1 0 5 1 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.parent, stat.is_zombie),
            ("a) b", 3, false)
        );
        assert_eq!(stat.cpu, Duration::from_secs(2));
        assert_eq!(stat.ended, Duration::from_millis(300));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(resident(std::process::id()) > 1 << 20);
    }
}
