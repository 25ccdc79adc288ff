//! The command line. What is written here is what `--help` shows.
//!
//! Every option with an environment variable may also stand in the configuration file, under the
//! flag's name; [`crate::config_file`] finds them by that.

mod option;
mod role;

use std::path::PathBuf;

use binnacle_boot::grpc::Peers;
use binnacle_boot::telemetry;
use clap::{Args, Parser, Subcommand, ValueEnum};
pub(crate) use option::{Auth, CallArgs, DatabaseArgs, RegistryArgs};
pub(crate) use role::{ExecutorArgs, GatewayArgs, OperationsServiceArgs, SchedulerArgs, UpArgs};
use uuid::Uuid;

use crate::bench::BenchArgs;

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
    /// Measure how fast it is on this machine
    ///
    /// Clients ask at the front door as fast as they are answered, or at a fixed rate, and an
    /// external system answers the webhooks; throughput, latency and costs are shown beside what
    /// the database can do by itself.
    Bench(Box<BenchArgs>),
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

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct OperationsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<OperationsCommand>,
    #[command(flatten)]
    pub(crate) service: Box<OperationsServiceArgs>,
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

/// Quiet: the demo's output is its own.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Logs")]
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
