//! A worker's stream.

mod session;
mod wire;

use std::{pin::Pin, time::Duration};

use binnacle_boot::{Outbox, Shutdown};
use binnacle_proto::{
    scheduler::v1,
    status::{Reason, refuse},
    uuid_from,
};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use uuid::Uuid;

use self::{
    session::Open,
    wire::{frames_of, ids, span},
};
use crate::{
    claims::Claims,
    service::unavailable,
    store::{Session, micros_of},
    workers::{Outgoing, StreamId},
};

/// How long a worker may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// Things to say in one frame, at most.
const FRAME_ITEMS: usize = 256;
/// What a worker may be ahead of the database.
const AHEAD: usize = 4096;
/// What was granted this long ago and is not held never arrived.
const UNDELIVERED: Duration = Duration::from_secs(5);

pub(crate) type Frames = Pin<Box<dyn Stream<Item = Result<v1::WorkResponse, Status>> + Send>>;

/// What all streams of workers share.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) claims: Claims,
    pub(crate) lease: Duration,
    pub(crate) shutdown: Shutdown,
}

impl Work {
    /// Serves a stream; gives what is said on it.
    pub(crate) fn open(self, inbound: Streaming<v1::WorkRequest>) -> Frames {
        let outbox = Outbox::new();
        let id = self.claims.workers.name();
        let unsent = Unsent {
            work: self.clone(),
            id,
            outbox: outbox.clone(),
        };
        let lease = span(self.lease);
        let frames = outbox.frames(FRAME_ITEMS).flat_map(move |items| {
            let _kept_as_long_as_the_stream = &unsent;
            stream::iter(frames_of(items, lease))
        });
        let shutdown = self.shutdown.clone();
        shutdown.spawn(async move {
            if let Err(status) = self.serve(id, inbound, &outbox).await {
                outbox.push(Outgoing::Refused(status));
            }
            self.claims.workers.close(id);
            outbox.close();
        });
        Box::pin(frames)
    }

    async fn serve(
        &self,
        id: StreamId,
        mut inbound: Streaming<v1::WorkRequest>,
        outbox: &Outbox<Outgoing>,
    ) -> Result<(), Status> {
        let first = tokio::time::timeout(FIRST_FRAME, inbound.message());
        let Some(mut first) = first.await.map_err(|_| no_hello())?? else {
            return Ok(());
        };
        let session = self.hello(first.hello.take()).await?;
        let room = first.capacity.take().unwrap_or(0);
        let workers = &self.claims.workers;
        workers.open(id, session, outbox.clone(), room);
        let open = Open {
            work: self,
            id,
            session,
            outbox,
        };
        let (sender, awaited) = mpsc::channel(AHEAD);
        let reading = async {
            let read = open.read(first, &mut inbound, sender).await;
            self.claims.workers.close(id);
            read
        };
        tokio::try_join!(reading, open.answer(awaited)).map(drop)
    }

    /// Begins the session, or lets it go on, and frees what was granted to it here and never arrived.
    async fn hello(&self, hello: Option<v1::Hello>) -> Result<Uuid, Status> {
        let v1::Hello {
            instance_id,
            session_id,
            held_operation_ids,
        } = hello.ok_or_else(no_hello)?;
        let session = uuid_from("hello.session_id", &session_id)?;
        if instance_id.is_empty()
            || instance_id.contains('\0')
            || session.is_nil()
            || session.is_max()
        {
            return Err(no_hello());
        }
        let held = ids("hello.held_operation_ids", &held_operation_ids)?;
        let store = &self.claims.store;
        self.claims.workers.close_session(session);
        let hello = Session::Hello {
            session,
            instance: instance_id,
            lease: micros_of(self.lease),
        };
        if !store.session(hello).await.map_err(unavailable)? {
            return Err(ended(session));
        }
        // Where this replica is the only one, all that the session does not hold was lost with a stream of its own.
        let granted_before = if store.database().sqlite().is_some() {
            i64::MAX
        } else {
            self.undelivered_before()
        };
        self.holds(session, held, granted_before).await?;
        Ok(session)
    }

    fn undelivered_before(&self) -> i64 {
        self.claims.store.now() - micros_of(UNDELIVERED.min(self.lease / 3))
    }

    async fn holds(
        &self,
        session: Uuid,
        held: Vec<Uuid>,
        granted_before: i64,
    ) -> Result<(), Status> {
        let freed = self.claims.store.holds(session, held, granted_before);
        if freed.await.map_err(unavailable)? > 0 {
            self.claims.workers.wake();
        }
        Ok(())
    }
}

/// Gives back what a stream was granted and did not come to say.
struct Unsent {
    work: Work,
    id: StreamId,
    outbox: Outbox<Outgoing>,
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let (claims, outbox) = (self.work.claims.clone(), self.outbox.clone());
        claims.workers.close(self.id);
        outbox.close();
        self.work.shutdown.spawn(async move {
            let mut left = Box::pin(outbox.frames(FRAME_ITEMS));
            while let Some(items) = left.next().await {
                for item in items {
                    if let Outgoing::Granted(grant) = item {
                        give_back(&claims, *grant).await;
                    }
                }
            }
        });
    }
}

async fn give_back(claims: &Claims, grant: v1::Grant) {
    let spec = grant.operation.as_ref().and_then(|o| o.spec.as_ref());
    let status = grant.operation.as_ref().and_then(|o| o.status.as_ref());
    let id = spec.and_then(|spec| spec.operation_id.parse().ok());
    if let (Some(id), Some(status)) = (id, status) {
        claims.give_back(id, status.epoch, grant.orphaned).await;
    }
}

fn no_hello() -> Status {
    refuse(
        Reason::InvalidArgument,
        "the first frame must be a hello with instance_id and session_id",
        [("field", "hello".to_owned())],
    )
}

fn ended(session: Uuid) -> Status {
    refuse(
        Reason::FailedPrecondition,
        "the session has ended; start a new one",
        [("session_id", session.to_string())],
    )
}
