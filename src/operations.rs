//! `binnacle operations list | get | watch`: looking at operations through a scheduler.

pub(crate) mod client;
mod table;
pub(crate) mod view;

use std::io::{ErrorKind, Write};
use std::time::Duration;

use anyhow::{Context as _, bail};
use binnacle_proto::common::v1::{Operation, OperationStatus, Phase};
use binnacle_proto::scheduler::v1::ListOperationsRequest;
use client::Client;
pub(crate) use client::is_not_found;
use serde::Serialize;
pub(crate) use table::{status_line, timeline};
use uuid::Uuid;
use view::{AttemptView, OperationView};

use crate::cli::{GetArgs, ListArgs, OperationsCommand, Output, State, WatchArgs};

/// How long to wait before a broken watch is opened again.
const WATCH_AGAIN: Duration = Duration::from_secs(1);

/// Runs one of the commands.
pub(crate) async fn run(command: OperationsCommand) -> anyhow::Result<()> {
    match command {
        OperationsCommand::List(args) => list(args).await,
        OperationsCommand::Get(args) => get(args).await,
        OperationsCommand::Watch(args) => watch(args).await,
    }
}

#[derive(Serialize)]
struct Page {
    operations: Vec<OperationView>,
    next_page_token: String,
}

async fn list(args: ListArgs) -> anyhow::Result<()> {
    let ListArgs {
        state,
        resource,
        tenant,
        limit,
        page,
        scheduler,
    } = args;
    let mut client = Client::new(&scheduler.scheduler_addr);
    let request = ListOperationsRequest {
        page_size: i32::try_from(limit).unwrap_or(i32::MAX),
        page_token: page,
        phase: state.map_or(Phase::Unspecified, phase).into(),
        resource_id: resource.as_ref().map(Uuid::to_string).unwrap_or_default(),
        tenant_id: tenant.as_ref().map(Uuid::to_string).unwrap_or_default(),
    };
    let (operations, next_page_token) = client.list(request).await?;
    let operations: Vec<_> = operations.iter().map(OperationView::from).collect();
    match scheduler.output {
        Output::Json => print_json(
            &Page {
                operations,
                next_page_token,
            },
            true,
        ),
        Output::Table if operations.is_empty() => say("no operations"),
        Output::Table => {
            say(&table::list(&operations))?;
            if next_page_token.is_empty() {
                return Ok(());
            }
            say(&format!("\nThere are more: --page {next_page_token}"))
        }
    }
}

fn phase(state: State) -> Phase {
    match state {
        State::InProgress => Phase::InProgress,
        State::Finalizing => Phase::Finalizing,
        State::Succeeded => Phase::Succeeded,
        State::Failed => Phase::Failed,
    }
}

#[derive(Serialize)]
struct Detail {
    #[serde(flatten)]
    operation: OperationView,
    attempts: Vec<AttemptView>,
}

async fn get(args: GetArgs) -> anyhow::Result<()> {
    let GetArgs { id, scheduler } = args;
    let mut client = Client::new(&scheduler.scheduler_addr);
    let operation = OperationView::from(&client.get(id).await?);
    let attempts: Vec<_> = client
        .attempts(id)
        .await?
        .iter()
        .map(AttemptView::from)
        .collect();
    match scheduler.output {
        Output::Json => print_json(
            &Detail {
                operation,
                attempts,
            },
            true,
        ),
        Output::Table => say(&timeline(&operation, &attempts)),
    }
}

async fn watch(args: WatchArgs) -> anyhow::Result<()> {
    let WatchArgs { id, scheduler } = args;
    let mut client = Client::new(&scheduler.scheduler_addr);
    let mut shown = None;
    loop {
        match follow(&mut client, id, scheduler.output, &mut shown).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            // Whoever watches wants to see the rest once the scheduler is back.
            Err(error) if shown.is_some() && client::is_passing(&error) => {
                let _ = writeln!(std::io::stderr(), "{error:#}; trying again");
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(WATCH_AGAIN).await;
    }
}

/// Shows changes until the stream ends. True: the operation that was asked for has ended.
async fn follow(
    client: &mut Client,
    id: Option<Uuid>,
    output: Output,
    shown: &mut Option<(u64, String)>,
) -> anyhow::Result<bool> {
    let mut changes = client.watch(id).await?;
    shown.get_or_insert_default();
    while let Some(operations) = changes.next().await? {
        for operation in &operations {
            let view = OperationView::from(operation);
            let state = (view.status.version, view.operation_id.clone());
            if shown.as_ref() == Some(&state) {
                continue;
            }
            *shown = Some(state);
            match output {
                Output::Json => print_json(&view, false)?,
                Output::Table => say(&status_line(&view, id.is_none()))?,
            }
            if id.is_some() && has_ended(operation) {
                return verdict(&view).map(|()| true);
            }
        }
    }
    Ok(false)
}

fn has_ended(operation: &Operation) -> bool {
    let phase = operation.status.as_ref().map(OperationStatus::phase);
    matches!(phase, Some(Phase::Succeeded | Phase::Failed))
}

fn verdict(view: &OperationView) -> anyhow::Result<()> {
    match &view.status.error {
        Some(error) => bail!("operation {} failed: {error}", view.operation_id),
        None => Ok(()),
    }
}

fn print_json(value: &impl Serialize, pretty: bool) -> anyhow::Result<()> {
    let text = if pretty {
        serde_json::to_string_pretty(value)
    } else {
        serde_json::to_string(value)
    };
    say(&text.context("cannot write the answer as JSON")?)
}

/// Writes a line to standard output. A reader who has gone, as `head` does, has seen enough.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}
