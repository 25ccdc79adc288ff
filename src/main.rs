//! The one binary: every role, all of them at once, and the commands that look at them.

mod bench;
mod cli;
mod config_file;
mod demo;
mod listen;
mod mesh;
mod operations;
mod role;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use bench::BenchArgs;
use binnacle_boot::telemetry;
use clap::error::ErrorKind;
use cli::{Cli, Command, OperationsArgs};

/// Messages are made on one thread and freed on another all the time, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit status for a command line or configuration that cannot be followed, as clap has it.
const USAGE: u8 = 2;

/// A mistake in what the program was told, found before anything was started.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

fn main() -> ExitCode {
    let cli = match config_file::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(config_file::Error::Clap(error)) => {
            let is_answer = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            // Nothing is left to be done for a reader who has gone.
            let _ = error.print();
            return if is_answer {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
        Err(error) => return fail(&error.into(), USAGE),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<Misuse>() => fail(&error, USAGE),
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &anyhow::Error, status: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::from(status)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    // Fails only when somebody else has installed one, which will do as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(Box::pin(execute(cli.command)))
}

async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(args) => with_logs(args.common.log.options(), role::up(*args)).await,
        Command::Bench(args) => with_logs(BenchArgs::log_options(), bench::run(*args)).await,
        Command::Demo(args) => with_logs(args.log.options(), demo::run(args.keep)).await,
        Command::Gateway(args) => with_logs(args.common.log.options(), role::gateway(*args)).await,
        Command::Scheduler(args) => {
            with_logs(args.common.log.options(), role::scheduler(*args)).await
        }
        Command::Executor(args) => {
            with_logs(args.common.log.options(), role::executor(*args)).await
        }
        Command::Operations(OperationsArgs {
            command: Some(command),
            service: _,
        }) => operations::run(command).await,
        Command::Operations(OperationsArgs {
            command: None,
            service,
        }) => with_logs(service.common.log.options(), role::operations(*service)).await,
    }
}

/// Runs `work` with logs and traces, and sends the last of them before it returns.
async fn with_logs<F>(options: telemetry::Options, work: F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let telemetry = telemetry::start(options)
        .map_err(|error| Misuse(format!("{:#}", anyhow::Error::from(error))))?;
    let result = work.await;
    telemetry.flush().await;
    result
}
