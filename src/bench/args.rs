//! The options of `binnacle bench`, and what is wrong with them.

use std::path::PathBuf;
use std::time::Duration;

use binnacle_boot::telemetry;
use clap::{Args, ValueEnum};
use serde::Serialize;
use url::Url;

use super::stage::Backend;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// Operations whose webhook answers at once: throughput, latency, costs
    W1,
    /// Operations whose webhook answers 202 and is polled three times
    W2,
    /// W1 while many operations wait for a poll that is an hour away
    W3,
    /// W1 on top of many finished operations
    W4,
    /// One of ten tenants sends ten times its share
    W5,
    /// Ten external systems: one never answers, one is slow, one refuses, one fails
    W6,
    /// W1 with two processes of each role (PostgreSQL)
    W7,
    /// W1 beside an idle REPEATABLE READ transaction (PostgreSQL)
    W9,
    /// Nothing to do: start, memory, processor, statements
    W10,
    /// registerApplication, in an empty tenant and in a full one
    R1,
    /// application(id) with its webhooks
    R2,
    /// applications(first: 100) with labels and webhooks
    R3,
    /// registerApplication and unregisterApplication, mode SYNC
    R4,
}

impl Workload {
    /// Whether it can be measured on the database.
    pub(super) fn applies_to(self, backend: Backend) -> bool {
        backend == Backend::Postgres || !matches!(self, Self::W7 | Self::W9)
    }
}

/// Options.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything runs on this machine: clients, external system, mesh and database share its processors.
The mesh is started as a process of its own, on a database of its own that is removed in the end.
What the database can do by itself (the floors) is measured before and after each round; a round
whose two measurements differ by more than 20 % is discarded.

In the table, everything from CPU on is per operation: processor time of mesh and database, commits
that wrote something, statements, bytes of PostgreSQL's log, growth of the database. Latencies are
milliseconds from when a request was to be sent.

Examples:
  binnacle bench --quick                       W1 on both databases, in under a minute
  binnacle bench --json bench.json --svg w1.svg
  binnacle bench w2 w3 --database postgres --database-url postgres://me@localhost/postgres
  binnacle bench w1 --clients 64 --rate 1000 --seconds 30")]
pub(crate) struct BenchArgs {
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "WORKLOAD", ignore_case = true)]
    pub(super) workloads: Vec<Workload>,
    /// A short W1, for a first impression and for tests
    #[arg(long, conflicts_with_all = ["workloads", "rounds", "rate"])]
    pub(super) quick: bool,
    /// On which database; may be repeated [default: both]
    #[arg(long, value_enum, value_name = "DATABASE")]
    pub(super) database: Vec<Backend>,
    /// A PostgreSQL server to measure on [default: a temporary one, where PostgreSQL is installed]
    ///
    /// The user needs the right to make databases: everything happens in databases that are made
    /// for it and dropped in the end.
    #[arg(long, value_name = "URL", value_parser = postgres_url, hide_env_values = true)]
    pub(super) database_url: Option<Url>,
    /// How many clients, each with a connection of its own
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(super) clients: u32,
    /// W1 at this many operations per second, instead of at shares of what was found possible
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    pub(super) rate: Option<f64>,
    /// How long each row is measured [default: 10; with --quick 3]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) seconds: Option<u64>,
    /// How often everything is measured; the table then has the medians
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(super) rounds: u32,
    /// Seeded applications [default: 200000; with --quick 50000]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    pub(super) applications: Option<u64>,
    /// W3: operations that wait; may be repeated, in growing order
    #[arg(long, value_name = "COUNT", default_values_t = [100_000, 1_000_000], value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(super) waiting: Vec<u64>,
    /// W4: operations that have finished; may be repeated, in growing order
    #[arg(long, value_name = "COUNT", default_values_t = [1_000_000], value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(super) finished: Vec<u64>,
    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw W1's latency against its load into this file
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Where temporary files and databases are put [default: the system's directory for them]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) directory: Option<PathBuf>,
}

/// How long and how much is measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Settings {
    pub(super) quick: bool,
    pub(super) clients: usize,
    pub(super) rate: Option<f64>,
    pub(super) seconds: u64,
    pub(super) applications: u64,
    pub(super) waiting: Vec<u64>,
    pub(super) finished: Vec<u64>,
}

impl Settings {
    /// How long a row is measured.
    pub(super) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How long a row runs before it is measured.
    pub(super) fn warm_up(&self) -> Duration {
        if self.quick {
            Duration::from_secs(1)
        } else {
            Duration::from_secs(2)
        }
    }

    /// How long a floor is measured.
    pub(super) fn floor(&self) -> Duration {
        if self.quick {
            Duration::from_millis(800)
        } else {
            Duration::from_secs(3)
        }
    }
}

impl BenchArgs {
    /// Quiet: what is shown is the measurement.
    pub(crate) fn log_options() -> telemetry::Options {
        telemetry::Options {
            format: telemetry::Format::Human,
            filter: "error".to_owned(),
            otlp_endpoint: None,
            service: "binnacle",
        }
    }

    pub(super) fn settings(&self) -> Settings {
        let (seconds, applications) = if self.quick {
            (3, 50_000)
        } else {
            (10, 200_000)
        };
        Settings {
            quick: self.quick,
            clients: usize::try_from(self.clients).unwrap_or(usize::MAX),
            rate: self.rate,
            seconds: self.seconds.unwrap_or(seconds),
            applications: self.applications.unwrap_or(applications),
            waiting: self.waiting.clone(),
            finished: self.finished.clone(),
        }
    }

    pub(super) fn chosen(&self) -> Vec<Workload> {
        let mut workloads = if self.quick {
            vec![Workload::W1]
        } else if self.workloads.is_empty() {
            Workload::value_variants().to_vec()
        } else {
            self.workloads.clone()
        };
        workloads.sort_unstable();
        workloads.dedup();
        workloads
    }

    pub(super) fn backends(&self) -> Vec<Backend> {
        let mut backends = match (self.database.is_empty(), &self.database_url) {
            (false, _) => self.database.clone(),
            (true, Some(_)) => vec![Backend::Postgres],
            (true, None) => vec![Backend::Sqlite, Backend::Postgres],
        };
        backends.sort_unstable();
        backends.dedup();
        backends
    }
}

fn postgres_url(text: &str) -> Result<Url, String> {
    let help = "give postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned();
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(url),
        _ => Err(help),
    }
}

/// A rate that clients on one machine can be asked for at all.
fn rate(text: &str) -> Result<f64, String> {
    const MOST: f64 = 200_000.0;
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= MOST => Ok(rate),
        _ => Err(format!(
            "give a number above 0 and up to {MOST}, in operations per second"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_possible_or_refused() {
        assert_eq!(rate("1000"), Ok(1000.0));
        for text in ["0", "-1", "NaN", "inf", "1e9", "fast", ""] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_of_something_else_is_refused() {
        assert!(postgres_url("postgres://localhost/x").is_ok());
        for text in ["mysql://localhost/x", "localhost", ""] {
            assert!(postgres_url(text).is_err(), "{text}");
        }
    }
}
