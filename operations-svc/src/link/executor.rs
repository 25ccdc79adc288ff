//! The stream to an executor.

use std::net::SocketAddr;

use binnacle_boot::Outbox;
use binnacle_boot::grpc::Channel;
use binnacle_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use binnacle_proto::executor::v1::{Call, CallReport, ExecuteRequest, ExecuteResponse, Hello};
use futures::StreamExt;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{End, LinkId, MAX_FRAME_BYTES, MAX_ITEMS};

/// What is said to an executor.
pub(crate) enum Word {
    Hello(Hello),
    Call(Box<Call>),
    /// Gives up an operation's calls.
    Abort(String),
    /// Until when calls may be under way.
    ValidUntil(Instant),
}

/// What the worker is told about an executor.
pub(crate) enum Event {
    /// The stream is open.
    Up { outbox: Outbox<Word>, capacity: u32 },
    /// It takes so many calls from now on.
    Capacity(u32),
    /// Calls have ended.
    Reports(Vec<CallReport>),
    /// The stream has ended, and with it every call under way.
    Down,
}

/// Keeps a stream open to the executor at `address`.
pub(crate) async fn keep(address: SocketAddr, session_id: String, end: End) {
    let channel = end.channel(address);
    let client = ExecutorServiceClient::new(channel).max_decoding_message_size(MAX_FRAME_BYTES);
    let hello = Hello { session_id };
    end.again(|end| open(address, client.clone(), hello.clone(), end))
        .await;
}

async fn open(
    address: SocketAddr,
    client: ExecutorServiceClient<Channel>,
    hello: Hello,
    end: End,
) -> bool {
    let id = end.next_id();
    let outbox = Outbox::new();
    let welcomed = tokio::select! {
        welcomed = introduce(client, hello, &outbox) => welcomed,
        () = end.removed.cancelled() => Err(Status::cancelled("its address is gone")),
        () = end.shutdown.cancelled() => Err(Status::cancelled("the worker stops")),
    };
    let (frames, capacity) = match welcomed {
        Ok(welcomed) => welcomed,
        Err(status) => {
            // The connection holds the other end, and would wait for words for ever.
            outbox.close();
            tracing::debug!(%address, %status, "an executor cannot be reached");
            return false;
        }
    };
    tracing::info!(%address, capacity, "calling through an executor");
    let up = Event::Up {
        outbox: outbox.clone(),
        capacity,
    };
    end.tell(super::Event::Executor(id, up)).await;
    let status = listen(id, frames, &end).await;
    outbox.close();
    tracing::info!(%address, %status, "the stream to an executor has ended");
    end.tell(super::Event::Executor(id, Event::Down)).await;
    true
}

async fn introduce(
    mut client: ExecutorServiceClient<Channel>,
    hello: Hello,
    outbox: &Outbox<Word>,
) -> Result<(Streaming<ExecuteResponse>, u32), Status> {
    outbox.push(Word::Hello(hello));
    let words = outbox.frames(MAX_ITEMS).map(frame);
    let mut frames = client.execute(words).await?.into_inner();
    let first = frames.message().await?.unwrap_or_default();
    let welcome = first
        .welcome
        .ok_or_else(|| Status::failed_precondition("the executor did not say welcome"))?;
    Ok((frames, welcome.capacity))
}

async fn listen(id: LinkId, mut frames: Streaming<ExecuteResponse>, end: &End) -> Status {
    let passing = async {
        loop {
            let frame = match frames.message().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return Status::ok("the executor has ended it"),
                Err(status) => return status,
            };
            let ExecuteResponse { welcome, reports } = frame;
            let capacity = welcome.map(|welcome| Event::Capacity(welcome.capacity));
            let reports = (!reports.is_empty()).then_some(Event::Reports(reports));
            for event in capacity.into_iter().chain(reports) {
                if !end.tell(super::Event::Executor(id, event)).await {
                    return Status::cancelled("the worker has stopped");
                }
            }
        }
    };
    tokio::select! {
        status = passing => status,
        () = end.removed.cancelled() => Status::cancelled("its address is gone"),
        () = end.events.closed() => Status::cancelled("the worker has stopped"),
    }
}

fn frame(words: Vec<Word>) -> ExecuteRequest {
    let mut frame = ExecuteRequest::default();
    for word in words {
        match word {
            Word::Hello(hello) => frame.hello = Some(hello),
            Word::Call(call) => frame.calls.push(*call),
            Word::Abort(operation_id) => {
                // The executor aborts before it starts, and these have not left yet.
                frame.calls.retain(|call| call.operation_id != operation_id);
                frame.abort_operation_ids.push(operation_id);
            }
            Word::ValidUntil(until) => {
                let left = until.saturating_duration_since(Instant::now());
                frame.session_valid_for = prost_types::Duration::try_from(left).ok();
            }
        }
    }
    frame
}
