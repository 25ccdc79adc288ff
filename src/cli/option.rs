//! Groups of options that several commands have, and how their values are read.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use binnacle_boot::database::DatabaseUrl;
use binnacle_boot::telemetry;
use clap::{Args, ValueEnum};
use url::Url;
use uuid::Uuid;

const DATABASE_HELP: &str = "Storage";
const LOG_HELP: &str = "Logs and traces";

const PATIENCE: Duration = Duration::from_secs(30);

/// The tenant of Compass's own local set-up.
const DEFAULT_TENANT: Uuid = uuid::uuid!("3e64ebae-38b5-46a0-b1ed-9ccee153a0ae");

#[derive(Clone, Debug, Args)]
pub(crate) struct CommonArgs {
    /// Who may call
    ///
    /// none: everybody is an administrator of the tenant that the `Tenant` header names. Refused
    /// on any address that is not loopback.
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "none",
        env = "BINNACLE_AUTH"
    )]
    pub(crate) auth: Auth,
    /// File to write the bound addresses to, as JSON, once everything is ready
    #[arg(long, value_name = "FILE", env = "BINNACLE_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl CommonArgs {
    /// Nothing but what goes wrong.
    pub(super) fn quiet() -> Self {
        Self {
            auth: Auth::None,
            ready_file: None,
            log: LogArgs {
                log_format: LogFormat::Human,
                log: "error".to_owned(),
                otlp_endpoint: None,
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    None,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = LOG_HELP)]
pub(crate) struct LogArgs {
    /// How log lines look, on standard error
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "human",
        env = "BINNACLE_LOG_FORMAT"
    )]
    log_format: LogFormat,
    /// What is logged: a level, or levels by module
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "BINNACLE_LOG"
    )]
    log: String,
    /// Send traces to this OTLP collector over gRPC, at `http://HOST:4317`
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<Url>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Human,
    Json,
}

impl LogArgs {
    pub(crate) fn options(&self) -> telemetry::Options {
        telemetry::Options {
            format: match self.log_format {
                LogFormat::Human => telemetry::Format::Human,
                LogFormat::Json => telemetry::Format::Json,
            },
            filter: self.log.clone(),
            otlp_endpoint: self.otlp_endpoint.as_ref().map(ToString::to_string),
            service: "binnacle",
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DataDirArgs {
    /// Directory for what has to survive a restart; made when it is missing
    #[arg(
        long,
        value_name = "DIRECTORY",
        default_value = "./binnacle-data",
        env = "BINNACLE_DATA_DIR",
        help_heading = DATABASE_HELP
    )]
    pub(crate) data_dir: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DatabaseArgs {
    #[command(flatten)]
    pub(crate) data: DataDirArgs,
    /// postgres://USER:PASSWORD@HOST:PORT/DATABASE [default: SQLite files in the data directory]
    ///
    /// Each service keeps its tables in a schema of its own. With SQLite one process at a time
    /// can use the data directory; with PostgreSQL any number of replicas can share the database.
    #[arg(
        long,
        value_name = "URL",
        hide_env_values = true,
        env = "BINNACLE_DATABASE_URL",
        help_heading = DATABASE_HELP
    )]
    database_url: Option<DatabaseUrl>,
    /// How long to wait at the start for a database that does not answer
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration,
        env = "BINNACLE_DATABASE_PATIENCE",
        help_heading = DATABASE_HELP
    )]
    database_patience: Duration,
}

impl DatabaseArgs {
    /// Files in `directory`.
    pub(super) fn embedded(directory: &Path) -> Self {
        Self {
            data: DataDirArgs {
                data_dir: directory.to_owned(),
            },
            database_url: None,
            database_patience: PATIENCE,
        }
    }

    pub(crate) fn url(&self) -> DatabaseUrl {
        match &self.database_url {
            Some(url) => url.clone().with_patience(self.database_patience),
            None => DatabaseUrl::Sqlite(self.data.data_dir.clone()),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RegistryArgs {
    /// What poll URLs start with [default: http:// and the bound gateway address]
    ///
    /// Never taken from a request's `Host` header, which the caller may choose.
    #[arg(long, value_name = "URL", env = "BINNACLE_PUBLIC_URL")]
    pub(crate) public_url: Option<Url>,
    /// Tenant of a request without a `Tenant` header: its external id, or none to refuse those
    ///
    /// The tenant is made on a fresh database.
    #[arg(
        long,
        value_name = "UUID|none",
        default_value_t = DefaultTenant(Some(DEFAULT_TENANT)),
        env = "BINNACLE_DEFAULT_TENANT"
    )]
    pub(crate) default_tenant: DefaultTenant,
}

impl Default for RegistryArgs {
    fn default() -> Self {
        Self {
            public_url: None,
            default_tenant: DefaultTenant(Some(DEFAULT_TENANT)),
        }
    }
}

/// The tenant of requests that name none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DefaultTenant(pub(crate) Option<Uuid>);

impl fmt::Display for DefaultTenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => id.fmt(formatter),
            None => formatter.write_str("none"),
        }
    }
}

impl FromStr for DefaultTenant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let id = text
            .parse()
            .map_err(|_| "give a UUID, or none".to_owned())?;
        Ok(Self(Some(id)))
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct WorkerArgs {
    /// Operations that the role `operations` holds at once
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        env = "BINNACLE_WORKER_CAPACITY"
    )]
    pub(crate) worker_capacity: u32,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CallArgs {
    /// HTTP exchanges that an executor makes at once
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        env = "BINNACLE_EXECUTOR_CAPACITY"
    )]
    pub(crate) executor_capacity: u32,
    /// How long one HTTP exchange with an external system may last
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration,
        env = "BINNACLE_EXCHANGE_TIMEOUT"
    )]
    pub(crate) exchange_timeout: Duration,
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "give IP:PORT, as in 127.0.0.1:3000 or [::1]:3000".to_owned())
}

/// A duration as text, so that nobody has to know in which unit a number is.
fn duration(text: &str) -> Result<Duration, String> {
    let help = || "give a number with its unit, as in 500ms, 30s or 2m".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(help)?;
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| help())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        _ => return Err(help()),
    };
    if number == 0 {
        return Err("it has to be longer than nothing".to_owned());
    }
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "30", "s", "-1s", "0s", "1h30", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
