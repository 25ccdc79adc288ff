//! A stream whose worker has introduced itself: what it says is written, and answered after the commit.

use binnacle_boot::{Outbox, failpoint};
use binnacle_domain::operation::{OperationId, Outcome};
use binnacle_proto::{scheduler::v1, uuid_from};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::{
    Work, ended,
    wire::{ids, micros, save_from},
};
use crate::{
    claims::LONGEST_POLL,
    metrics::Metrics,
    service::unavailable,
    store::{self, Done, Pending, Release, Saved, Session, Write, micros_of},
    workers::{Outgoing, StreamId},
};

/// An answer that a worker waits for.
pub(super) enum Awaited {
    Saved {
        id: OperationId,
        epoch: u64,
        /// With this the operation leaves the worker.
        is_last: bool,
        /// And is due again after this, in microseconds.
        due_in: Option<i64>,
        /// What is counted when it is written.
        counts: Option<fn(&Metrics)>,
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
pub(super) struct Open<'a> {
    pub(super) work: &'a Work,
    pub(super) id: StreamId,
    pub(super) session: Uuid,
    pub(super) outbox: &'a Outbox<Outgoing>,
}

impl Open<'_> {
    /// Reads frames until the worker or the service stops.
    pub(super) async fn read(
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
                counts: save.outcome.as_ref().map(|_| Metrics::concluded as _),
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
            counts: Some(Metrics::done),
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
    pub(super) async fn answer(&self, mut awaited: mpsc::Receiver<Awaited>) -> Result<(), Status> {
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
                    if due_in.is_some_and(|span| span < micros_of(LONGEST_POLL)) {
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
