//! The command line. What is written here is what `--help` shows.
//!
//! Every option with an environment variable may also stand in the configuration file, under the
//! flag's name; [`crate::config_file`] finds them by that.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use binnacle_boot::database::DatabaseUrl;
use binnacle_boot::grpc::Peers;
use binnacle_boot::telemetry;
use clap::{Args, Parser, Subcommand, ValueEnum};
use url::Url;
use uuid::Uuid;

const DATABASE_HELP: &str = "Storage";
const LOG_HELP: &str = "Logs and traces";

/// The tenant of Compass's own local set-up.
const DEFAULT_TENANT: Uuid = uuid::uuid!("3e64ebae-38b5-46a0-b1ed-9ccee153a0ae");

/// Durable asynchronous operations for a registry of applications.
///
/// A GraphQL mutation with `mode: ASYNC` returns at once with a URL to poll; Binnacle drives the
/// webhooks behind it until they have finished, whatever is restarted in between.
///
/// Every option can be given as a flag, as the environment variable shown with it, or in a TOML
/// file named by --config, under the flag's name (data-dir = "/var/lib/binnacle"). A flag wins
/// over the environment, and the environment over the file.
#[derive(Debug, Parser)]
#[command(name = "binnacle", version, max_term_width = 100)]
#[command(after_help = "\
Start here:
  binnacle demo    see an asynchronous operation from the call to its end, in ten seconds
  binnacle up      run everything on this machine, then open http://127.0.0.1:3000/graphiql")]
pub(crate) struct Cli {
    /// TOML file with options, by the names of the flags; unknown names are refused
    #[arg(long, global = true, value_name = "FILE", env = "BINNACLE_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all roles in this process
    ///
    /// The roles talk to one another over gRPC on the addresses below, exactly as they do when
    /// each runs by itself. Ctrl-C and SIGTERM finish what is in progress, within 30 s.
    Up(Box<UpArgs>),
    /// Show an asynchronous operation from the call to its end
    ///
    /// Starts everything on a temporary directory and free ports, with a small external system
    /// that takes some seconds to clean up; registers an application with a webhook, unregisters
    /// it asynchronously, shows how that goes on and ends with the timeline.
    Demo(DemoArgs),
    /// Run the gateway alone: GraphQL, poll URLs, the registry
    Gateway(Box<GatewayArgs>),
    /// Run a scheduler alone: the record of operations
    Scheduler(Box<SchedulerArgs>),
    /// Look at operations, or run the role that drives them
    ///
    /// With a sub-command: talks to a scheduler and shows operations. Without: runs the role
    /// `operations` alone, which drives the webhooks of operations to their end.
    Operations(OperationsArgs),
    /// Run a webhook executor alone: it makes the HTTP calls
    Executor(Box<ExecutorArgs>),
}

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
    /// Send traces to this OTLP collector over gRPC, for example http://127.0.0.1:4317
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
}

impl DatabaseArgs {
    pub(crate) fn url(&self) -> DatabaseUrl {
        let embedded = || DatabaseUrl::Sqlite(self.data.data_dir.clone());
        self.database_url.clone().unwrap_or_else(embedded)
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

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Address for GraphQL, poll URLs, health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000", value_parser = address, env = "BINNACLE_GATEWAY_ADDR")]
    pub(crate) gateway_addr: SocketAddr,
    /// Address of the gateway for the other roles (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050", value_parser = address, env = "BINNACLE_DIRECTOR_ADDR")]
    pub(crate) director_addr: SocketAddr,
    /// Address of the scheduler (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051", value_parser = address, env = "BINNACLE_SCHEDULER_ADDR")]
    pub(crate) scheduler_addr: SocketAddr,
    /// Address of the webhook executor (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50052", value_parser = address, env = "BINNACLE_EXECUTOR_ADDR")]
    pub(crate) executor_addr: SocketAddr,
    /// Address of the role `operations`, for health and metrics
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3010", value_parser = address, env = "BINNACLE_OPERATIONS_ADDR")]
    pub(crate) operations_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

impl UpArgs {
    /// Everything on free ports of loopback, with its data in `directory`; nothing of it comes
    /// from the environment.
    pub(crate) fn scratch(directory: &Path) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            gateway_addr: free,
            director_addr: free,
            scheduler_addr: free,
            executor_addr: free,
            operations_addr: free,
            registry: RegistryArgs {
                public_url: None,
                default_tenant: DefaultTenant(Some(DEFAULT_TENANT)),
            },
            worker: WorkerArgs {
                worker_capacity: 64,
            },
            calls: CallArgs {
                executor_capacity: 64,
                exchange_timeout: Duration::from_secs(10),
            },
            database: DatabaseArgs {
                data: DataDirArgs {
                    data_dir: directory.to_owned(),
                },
                database_url: None,
            },
            common: CommonArgs {
                auth: Auth::None,
                ready_file: None,
                log: LogArgs {
                    log_format: LogFormat::Human,
                    log: "error".to_owned(),
                    otlp_endpoint: None,
                },
            },
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct GatewayArgs {
    /// Address to listen on for GraphQL, poll URLs, health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3000", value_parser = address, env = "BINNACLE_GATEWAY_ADDR")]
    pub(crate) gateway_addr: SocketAddr,
    /// Address to listen on for the other roles (gRPC)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50050", value_parser = address, env = "BINNACLE_DIRECTOR_ADDR")]
    pub(crate) director_addr: SocketAddr,
    /// Where the schedulers are: a list, or a name for all its addresses
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50051",
        env = "BINNACLE_SCHEDULER_ADDR"
    )]
    pub(crate) scheduler_addr: Peers,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SchedulerArgs {
    /// Address to listen on (gRPC); port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50051", value_parser = address, env = "BINNACLE_SCHEDULER_ADDR")]
    pub(crate) scheduler_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ExecutorArgs {
    /// Address to listen on (gRPC); port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:50052", value_parser = address, env = "BINNACLE_EXECUTOR_ADDR")]
    pub(crate) executor_addr: SocketAddr,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OperationsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<OperationsCommand>,
    #[command(flatten)]
    pub(crate) service: Box<OperationsServiceArgs>,
}

#[derive(Debug, Args)]
pub(crate) struct OperationsServiceArgs {
    /// Address to listen on for health and metrics; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:3010", value_parser = address, env = "BINNACLE_OPERATIONS_ADDR")]
    pub(crate) operations_addr: SocketAddr,
    /// Where the schedulers are: a list, or a name for all its addresses
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50051",
        env = "BINNACLE_SCHEDULER_ADDR"
    )]
    pub(crate) scheduler_addr: Peers,
    /// Where the webhook executors are
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50052",
        env = "BINNACLE_EXECUTOR_ADDR"
    )]
    pub(crate) executor_addr: Peers,
    /// Where the gateways are, by their address for the other roles
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        default_value = "127.0.0.1:50050",
        env = "BINNACLE_DIRECTOR_ADDR"
    )]
    pub(crate) director_addr: Peers,
    #[command(flatten)]
    pub(crate) worker: WorkerArgs,
    #[command(flatten)]
    pub(crate) data: DataDirArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OperationsCommand {
    /// List operations, newest first
    List(ListArgs),
    /// Show one operation with the timeline of its calls and polls
    Get(GetArgs),
    /// Show operations as they change
    ///
    /// With an id: that operation, until it has ended; the exit status is 1 if it ended badly.
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SchedulerAddrArgs {
    /// Where a scheduler is
    #[arg(
        long,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:50051",
        env = "BINNACLE_SCHEDULER_ADDR"
    )]
    pub(crate) scheduler_addr: Peers,
    /// How the answer looks
    #[arg(
        long,
        short,
        value_enum,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs: one JSON value, or one per line from `watch`
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Webhooks are being driven
    InProgress,
    /// The outcome is recorded and is being applied to the resource
    Finalizing,
    Succeeded,
    Failed,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only operations in this state
    #[arg(long, value_enum)]
    pub(crate) state: Option<State>,
    /// Only operations on the resource with this id
    #[arg(long, value_name = "UUID")]
    pub(crate) resource: Option<Uuid>,
    /// Only operations of the tenant with this internal id
    #[arg(long, value_name = "UUID")]
    pub(crate) tenant: Option<Uuid>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Go on where the previous page ended: the token that it showed
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) page: String,
    #[command(flatten)]
    pub(crate) scheduler: SchedulerAddrArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The operation's id
    pub(crate) id: Uuid,
    #[command(flatten)]
    pub(crate) scheduler: SchedulerAddrArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The operation's id; without it, all operations from now on
    pub(crate) id: Option<Uuid>,
    #[command(flatten)]
    pub(crate) scheduler: SchedulerAddrArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave everything running at the end, and show how to try it
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) log: DemoLogArgs,
}

/// As [`LogArgs`], but quiet: the demo's output is its own.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = LOG_HELP)]
pub(crate) struct DemoLogArgs {
    /// What is logged on standard error: a level, or levels by module
    #[arg(long, value_name = "FILTER", default_value = "error")]
    log: String,
}

impl DemoLogArgs {
    pub(crate) fn options(&self) -> telemetry::Options {
        telemetry::Options {
            format: telemetry::Format::Human,
            filter: self.log.clone(),
            otlp_endpoint: None,
            service: "binnacle",
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
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
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "30", "s", "-1s", "0s", "1h30", "99999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
