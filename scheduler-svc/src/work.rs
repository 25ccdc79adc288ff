//! A worker's stream.

use std::{pin::Pin, time::Duration};

use binnacle_boot::{Outbox, Shutdown, failpoint};
use binnacle_domain::operation::{Attempt, OperationId, Outcome};
use binnacle_proto::{
    Invalid,
    common::v1 as common,
    duration_from,
    scheduler::v1,
    status::{Reason, refuse},
    uuid_from, webhook_status_from,
};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::{
    claims::{Claims, POLL},
    service::unavailable,
    store::{self, Done, Pending, Release, Save, Saved, Session, Write, micros_of},
    workers::{Outgoing, StreamId},
};

/// How long a worker may take for its first frame.
const FIRST_FRAME: Duration = Duration::from_secs(10);
/// Things to say in one frame, at most, and what they may weigh.
const FRAME_ITEMS: usize = 256;
const FRAME_BYTES: usize = 1024 * 1024;
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

/// An answer that a worker waits for.
enum Awaited {
    Saved {
        id: OperationId,
        epoch: u64,
        /// With this the operation leaves the worker.
        is_last: bool,
        /// And is due again after this, in microseconds.
        due_in: Option<i64>,
        /// What is counted when it is written.
        counts: Option<fn(&crate::metrics::Metrics)>,
        pending: Pending,
    },
    Stale {
        id: String,
        epoch: u64,
    },
    Released {
        id: OperationId,
        pending: Pending,
    },
    Renewed(Pending),
}

/// A stream whose worker has introduced itself.
struct Open<'a> {
    work: &'a Work,
    id: StreamId,
    session: Uuid,
    outbox: &'a Outbox<Outgoing>,
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
        let holds = Session::Holds {
            session,
            held,
            granted_before,
        };
        let store = &self.claims.store;
        store.session(holds).await.map_err(unavailable)?;
        self.claims.workers.wake();
        Ok(())
    }
}

impl Open<'_> {
    /// Reads frames until the worker or the service stops.
    async fn read(
        &self,
        first: v1::WorkRequest,
        inbound: &mut Streaming<v1::WorkRequest>,
        sender: mpsc::Sender<Awaited>,
    ) -> Result<(), Status> {
        let mut frame = first;
        loop {
            let is_last = frame.goodbye;
            self.take(frame, &sender).await?;
            if is_last {
                return Ok(());
            }
            frame = tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(frame)) => frame,
                    // Whoever opened the stream is gone; what it holds stays its own until its lease ends.
                    Ok(None) | Err(_) => return Ok(()),
                },
                () = self.work.shutdown.cancelled() => return Ok(()),
            };
        }
    }

    async fn take(
        &self,
        frame: v1::WorkRequest,
        sender: &mpsc::Sender<Awaited>,
    ) -> Result<(), Status> {
        let v1::WorkRequest {
            hello: _,
            capacity,
            reports,
            releases,
            dones,
            heartbeat,
            goodbye,
            held,
        } = frame;
        let workers = &self.work.claims.workers;
        if heartbeat {
            self.renew(sender).await?;
        }
        for report in reports {
            self.report(report, sender).await?;
        }
        for release in releases {
            self.release(release, sender).await?;
        }
        for done in dones {
            self.done(done, sender).await?;
        }
        if let Some(held) = held {
            let held = ids("held.operation_ids", &held.operation_ids)?;
            let before = self.work.undelivered_before();
            self.work.holds(self.session, held, before).await?;
        }
        if let Some(capacity) = capacity {
            workers.set_room(self.id, capacity);
        }
        if goodbye {
            workers.close(self.id);
            let session = self.session;
            let store = &self.work.claims.store;
            let goodbye = Session::Goodbye { session };
            store.session(goodbye).await.map_err(unavailable)?;
            workers.wake();
        }
        Ok(())
    }

    async fn renew(&self, sender: &mpsc::Sender<Awaited>) -> Result<(), Status> {
        let renew = Session::Renew {
            session: self.session,
            lease: micros_of(self.work.lease),
        };
        let pending = self.send(Write::Session(renew)).await?;
        self.await_later(Awaited::Renewed(pending), sender).await
    }

    async fn report(
        &self,
        report: v1::Report,
        sender: &mpsc::Sender<Awaited>,
    ) -> Result<(), Status> {
        let (id, epoch) = (report.operation_id.clone(), report.epoch);
        let awaited = match save_from(report) {
            Ok(save) => Awaited::Saved {
                id: save.id,
                epoch,
                is_last: save.release_for.is_some(),
                due_in: save.release_for,
                counts: save
                    .outcome
                    .as_ref()
                    .map(|_| crate::metrics::Metrics::concluded as _),
                pending: self.send(Write::Save(save)).await?,
            },
            Err(invalid) => {
                tracing::error!(operation.id = id, %invalid, "a report cannot be read");
                Awaited::Stale { id, epoch }
            }
        };
        self.await_later(awaited, sender).await
    }

    async fn release(
        &self,
        release: v1::Release,
        sender: &mpsc::Sender<Awaited>,
    ) -> Result<(), Status> {
        let v1::Release {
            operation_id,
            epoch,
            retry_in,
        } = release;
        let id = OperationId(uuid_from("releases.operation_id", &operation_id)?);
        let release = Release {
            id,
            epoch: epoch.cast_signed(),
            retry_in: micros("releases.retry_in", retry_in)?.unwrap_or(0),
            is_orphaned: false,
        };
        let pending = self.send(Write::Release(release)).await?;
        self.await_later(Awaited::Released { id, pending }, sender)
            .await
    }

    async fn done(&self, done: v1::Done, sender: &mpsc::Sender<Awaited>) -> Result<(), Status> {
        let v1::Done {
            operation_id,
            epoch,
            outcome,
        } = done;
        let id = OperationId(uuid_from("dones.operation_id", &operation_id)?);
        let done = Done {
            id,
            epoch: epoch.cast_signed(),
            outcome: outcome.map(|outcome| store::outcome_to(&Outcome::from(outcome))),
        };
        let awaited = Awaited::Saved {
            id,
            epoch,
            is_last: true,
            due_in: None,
            counts: Some(crate::metrics::Metrics::done),
            pending: self.send(Write::Done(done)).await?,
        };
        self.await_later(awaited, sender).await
    }

    async fn send(&self, write: Write) -> Result<Pending, Status> {
        let store = &self.work.claims.store;
        store.send(write).await.map_err(unavailable)
    }

    /// Waits for room where the worker is far ahead of the database.
    async fn await_later(
        &self,
        awaited: Awaited,
        sender: &mpsc::Sender<Awaited>,
    ) -> Result<(), Status> {
        let sent = sender.send(awaited).await;
        sent.map_err(|_| unavailable(store::Error::Stopped))
    }

    /// Answers what was written, in order, after its commit. What could not be written ends the stream, since the
    /// worker cannot know what has become of it.
    async fn answer(&self, mut awaited: mpsc::Receiver<Awaited>) -> Result<(), Status> {
        while let Some(next) = awaited.recv().await {
            match next {
                Awaited::Saved {
                    id,
                    epoch,
                    is_last,
                    due_in,
                    counts,
                    pending,
                } => {
                    let saved = store::saved(pending).await.map_err(unavailable)?;
                    if counts.is_some() {
                        let concluded = "scheduler.concluded";
                        failpoint::reach(if is_last { "scheduler.done" } else { concluded });
                    }
                    self.saved((id, epoch), is_last, saved);
                    // Longer ones are found by looking.
                    if due_in.is_some_and(|span| span < micros_of(POLL)) {
                        self.work.claims.workers.wake();
                    }
                    if let (Saved::At(_), Some(counts)) = (saved, counts) {
                        counts(&self.work.claims.metrics);
                    }
                }
                Awaited::Stale { id, epoch } => self.outbox.push(Outgoing::Saved(v1::Saved {
                    operation_id: id,
                    epoch,
                    ok: false,
                    version: 0,
                })),
                Awaited::Released { id, pending } => {
                    store::saved(pending).await.map_err(unavailable)?;
                    self.work.claims.workers.settled(self.id, id);
                    self.work.claims.workers.wake();
                }
                Awaited::Renewed(pending) => {
                    if !store::goes_on(pending).await.map_err(unavailable)? {
                        return Err(ended(self.session));
                    }
                    self.outbox.push(Outgoing::Renewed);
                }
            }
        }
        Ok(())
    }

    fn saved(&self, (id, epoch): (OperationId, u64), is_last: bool, saved: Saved) {
        let workers = &self.work.claims.workers;
        let (ok, version) = match saved {
            Saved::At(version) => (true, version.unsigned_abs()),
            Saved::Stale => (false, 0),
        };
        if is_last || !ok {
            workers.settled(self.id, id);
        }
        self.outbox.push(Outgoing::Saved(v1::Saved {
            operation_id: id.to_string(),
            epoch,
            ok,
            version,
        }));
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

/// Frames of a weight that every client takes.
fn frames_of(
    items: Vec<Outgoing>,
    lease: prost_types::Duration,
) -> Vec<Result<v1::WorkResponse, Status>> {
    let mut frames = Vec::new();
    let mut frame = v1::WorkResponse::default();
    let mut weight = 0;
    for item in items {
        match item {
            Outgoing::Welcome => frame.welcome = Some(v1::Welcome { lease: Some(lease) }),
            Outgoing::Saved(saved) => frame.saved.push(saved),
            Outgoing::Renewed => frame.renewed_for = Some(lease),
            Outgoing::Granted(grant) => {
                let added = prost::Message::encoded_len(&*grant);
                if weight > 0 && weight + added > FRAME_BYTES {
                    frames.push(Ok(std::mem::take(&mut frame)));
                    weight = 0;
                }
                weight += added;
                frame.grants.push(*grant);
            }
            Outgoing::Refused(status) => {
                if frame != v1::WorkResponse::default() {
                    frames.push(Ok(frame));
                }
                frames.push(Err(status));
                return frames;
            }
        }
    }
    frames.push(Ok(frame));
    frames
}

fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: span.as_secs().cast_signed(),
        nanos: span.subsec_nanos().cast_signed(),
    }
}

fn save_from(report: v1::Report) -> Result<Save, Invalid> {
    let v1::Report {
        operation_id,
        epoch,
        version,
        webhooks,
        attempts,
        concluded,
        release_for,
    } = report;
    let webhooks: Vec<_> = webhooks
        .into_iter()
        .map(webhook_status_from)
        .collect::<Result<_, _>>()?;
    Ok(Save {
        id: OperationId(uuid_from("reports.operation_id", &operation_id)?),
        epoch: epoch.cast_signed(),
        version: version.cast_signed(),
        webhooks: store::webhooks_to(&webhooks),
        outcome: concluded.map(|outcome| store::outcome_to(&Outcome::from(outcome))),
        release_for: micros("reports.release_for", release_for)?,
        attempts: attempts
            .into_iter()
            .map(attempt_from)
            .collect::<Result<_, _>>()?,
    })
}

/// External systems may answer anything, and PostgreSQL keeps no text with a zero byte.
fn attempt_from(attempt: common::Attempt) -> Result<Attempt, Invalid> {
    let mut attempt = Attempt::try_from(attempt)?;
    for text in [
        &mut attempt.exchange.request,
        &mut attempt.exchange.response,
        &mut attempt.error,
    ] {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    Ok(attempt)
}

fn micros(
    field: &'static str,
    span: Option<prost_types::Duration>,
) -> Result<Option<i64>, Invalid> {
    let span = span.map(|span| duration_from(field, span)).transpose()?;
    Ok(span.map(|span| span.num_microseconds().unwrap_or(i64::MAX / 4)))
}

fn ids(field: &'static str, texts: &[String]) -> Result<Vec<Uuid>, Invalid> {
    texts.iter().map(|text| uuid_from(field, text)).collect()
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
