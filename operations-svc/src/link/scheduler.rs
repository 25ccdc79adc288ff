//! The stream to a scheduler.

use std::net::SocketAddr;
use std::time::Duration;

use binnacle_boot::Outbox;
use binnacle_boot::grpc::Channel;
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_proto::scheduler::v1::{
    Done, Held, Hello, Release, Report, WorkRequest, WorkResponse,
};
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::{End, FAREWELL, LinkId, MAX_FRAME_BYTES, MAX_ITEMS};

/// What is said to a scheduler.
pub(crate) enum Word {
    Hello(Hello),
    Capacity(u32),
    Report(Box<Report>),
    Release(Release),
    Done(Done),
    /// Now and then with the operations that are held, so that a grant is not lost with the scheduler that made it.
    Heartbeat(Option<Held>),
    Goodbye,
}

/// What the worker is told about a scheduler.
pub(crate) enum Event {
    /// The stream is open.
    Up {
        outbox: Outbox<Word>,
        /// How long the session is good for.
        lease: Duration,
        /// Since when.
        since: Instant,
    },
    /// A frame has come.
    Frame(Box<WorkResponse>),
    /// The stream has ended.
    Down,
}

/// Keeps a stream open to the scheduler at `address`.
pub(crate) async fn keep(address: SocketAddr, hello: Hello, end: End) {
    let channel = end.channel(address);
    let client = SchedulerServiceClient::new(channel).max_decoding_message_size(MAX_FRAME_BYTES);
    end.again(|end| open(address, client.clone(), hello.clone(), end))
        .await;
}

async fn open(
    address: SocketAddr,
    client: SchedulerServiceClient<Channel>,
    hello: Hello,
    end: End,
) -> bool {
    let id = end.next_id();
    let (outbox, since) = (Outbox::new(), Instant::now());
    let welcomed = tokio::select! {
        welcomed = introduce(client, hello, &outbox, &end) => welcomed,
        () = end.removed.cancelled() => Err(Status::cancelled("its address is gone")),
        () = end.shutdown.cancelled() => Err(Status::cancelled("the worker stops")),
    };
    let (frames, lease) = match welcomed {
        Ok(welcomed) => welcomed,
        Err(status) => {
            // The connection holds the other end, and would wait for words for ever.
            outbox.close();
            if status.code() == Code::FailedPrecondition {
                tracing::error!(%address, %status, "a scheduler does not take this worker");
            } else {
                tracing::debug!(%address, %status, "a scheduler cannot be reached");
            }
            return false;
        }
    };
    tracing::info!(%address, "working for a scheduler");
    let up = Event::Up {
        outbox: outbox.clone(),
        lease,
        since,
    };
    end.tell(super::Event::Scheduler(id, up)).await;
    let status = listen(id, frames, &end).await;
    outbox.close();
    tracing::info!(%address, %status, "the stream to a scheduler has ended");
    end.tell(super::Event::Scheduler(id, Event::Down)).await;
    true
}

/// Says hello and waits for the welcome.
async fn introduce(
    mut client: SchedulerServiceClient<Channel>,
    hello: Hello,
    outbox: &Outbox<Word>,
    end: &End,
) -> Result<(Streaming<WorkResponse>, Duration), Status> {
    let (ask, answer) = oneshot::channel();
    end.tell(super::Event::WhatIsHeld(ask)).await;
    let held_operation_ids = answer
        .await
        .map_err(|_| Status::cancelled("the worker has stopped"))?;
    outbox.push(Word::Hello(Hello {
        held_operation_ids,
        ..hello
    }));
    let words = outbox.frames(MAX_ITEMS).map(frame);
    let mut frames = client.work(words).await?.into_inner();
    let first = frames.message().await?.unwrap_or_default();
    let lease = first
        .welcome
        .and_then(|welcome| welcome.lease)
        .and_then(|lease| Duration::try_from(lease).ok())
        .filter(|lease| !lease.is_zero())
        .ok_or_else(|| Status::failed_precondition("the scheduler did not say welcome"))?;
    Ok((frames, lease))
}

/// Passes frames on until the stream ends; says how it did.
async fn listen(id: LinkId, mut frames: Streaming<WorkResponse>, end: &End) -> Status {
    let passing = async {
        loop {
            match frames.message().await {
                Ok(Some(frame)) => {
                    // Once the worker has stopped, the stream is only read to its end.
                    let event = Event::Frame(Box::new(frame));
                    end.tell(super::Event::Scheduler(id, event)).await;
                }
                Ok(None) => return Status::ok("the scheduler has ended it"),
                Err(status) => return status,
            }
        }
    };
    tokio::select! {
        status = passing => status,
        () = end.removed.cancelled() => Status::cancelled("its address is gone"),
        () = async {
            end.events.closed().await;
            tokio::time::sleep(FAREWELL).await;
        } => Status::cancelled("the scheduler did not end it"),
    }
}

fn frame(words: Vec<Word>) -> WorkRequest {
    let mut frame = WorkRequest::default();
    for word in words {
        match word {
            Word::Hello(hello) => frame.hello = Some(hello),
            Word::Capacity(capacity) => frame.capacity = Some(capacity),
            Word::Report(report) => frame.reports.push(*report),
            Word::Release(release) => frame.releases.push(release),
            Word::Done(done) => frame.dones.push(done),
            Word::Heartbeat(held) => {
                frame.heartbeat = true;
                frame.held = held;
            }
            Word::Goodbye => frame.goodbye = true,
        }
    }
    frame
}
