//! The worker: one task that holds every granted operation and decides what happens to it.
//!
//! It works in turns. A turn takes all events that are there, drives every operation that they or
//! the clock concern, and at its end sends what there is to say, one frame per stream; so under
//! load frames are large and turns few, and alone an operation waits for nobody.
//!
//! For one operation the order is fixed: what a scheduler has granted or saved may be acted upon,
//! what has changed is saved before the next call is made, and an outcome is recorded before the
//! registry is asked to apply it. A save that is refused ends it: the operation is somebody
//! else's, its calls are given up at once.

mod drive;
mod held;
mod peers;
mod save;

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::time::Duration;

use binnacle_boot::Shutdown;
use binnacle_domain::operation::{Event as Happened, OperationId, Report};
use binnacle_domain::retry::Spacing;
use binnacle_proto::executor::v1::CallReport;
use binnacle_proto::scheduler::v1::{self, Grant, Release, WorkResponse};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::finalizer::Finalizer;
use crate::link::{Event, LinkId, executor, scheduler};
use crate::metrics::Metrics;
use crate::session::{Inventory, Session};
use crate::timers::Timers;
use held::{Held, Stage};
use peers::{Executors, Schedulers};

/// Events that one turn takes.
const TURN: usize = 256;
/// Operations taken while no executor is there: what needs no call still comes to its end.
const WITHOUT_EXECUTOR: usize = 64;
/// How long calls under way may go on once the worker is to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the last saves may take after that.
const LAST_SAVES: Duration = Duration::from_secs(2);

/// How long an operation that cannot be read is left alone; another version may read it.
const UNREADABLE: Duration = Duration::from_mins(1);

pub(crate) struct Worker {
    capacity: usize,
    held: HashMap<OperationId, Box<Held>>,
    /// How many of them doze.
    dozing: usize,
    timers: Timers,
    spacing: Spacing,
    /// Operations that want a call and found no room, in their order.
    queue: BTreeMap<u64, OperationId>,
    next_place: u64,
    session: Session,
    heartbeat_at: Option<Instant>,
    inventory: Inventory,
    schedulers: Schedulers,
    executors: Executors,
    finalizer: Finalizer,
    metrics: Metrics,
    /// Set once it is to stop: until when calls may go on, and then saves.
    stopping: Option<(Instant, Instant)>,
}

impl Worker {
    pub(crate) fn new(capacity: u32, finalizer: Finalizer, metrics: Metrics) -> Self {
        Self {
            capacity: capacity as usize,
            held: HashMap::new(),
            dozing: 0,
            timers: Timers::default(),
            spacing: Spacing::default(),
            queue: BTreeMap::new(),
            next_place: 0,
            session: Session::default(),
            heartbeat_at: None,
            inventory: Inventory::default(),
            schedulers: Schedulers::default(),
            executors: Executors::default(),
            finalizer,
            metrics,
            stopping: None,
        }
    }

    /// Works until the shutdown, and then until what is under way has come to rest or its time is
    /// over; says goodbye at the end.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>, shutdown: Shutdown) {
        let mut turn = Vec::with_capacity(TURN);
        loop {
            tokio::select! {
                _ = events.recv_many(&mut turn, TURN) => {}
                () = wake(self.next_moment()) => {}
                () = shutdown.cancelled(), if self.stopping.is_none() => {
                    let calls = Instant::now() + DRAIN;
                    self.stopping = Some((calls, calls + LAST_SAVES));
                }
            }
            let at = Instant::now();
            // Before a word that renews the session can hide that it had lapsed.
            if self.session.has_lapsed(at) {
                self.let_everything_go(at);
            }
            for event in turn.drain(..) {
                self.hear(event, at);
            }
            self.look_at_the_clock(at);
            if self.is_at_rest(at) {
                self.hand_back(at);
                break;
            }
            self.feed(at);
            self.flush();
        }
        self.schedulers.goodbye();
    }

    fn next_moment(&self) -> Option<Instant> {
        let stop = self.stopping.map(|(calls, saves)| {
            if self.executors.calls() > 0 {
                calls
            } else {
                saves
            }
        });
        let moments = [
            self.timers.next(),
            self.heartbeat_at,
            self.session.lapses_at(),
            stop,
        ];
        moments.into_iter().flatten().min()
    }

    fn hear(&mut self, event: Event, at: Instant) {
        match event {
            Event::Scheduler(
                id,
                scheduler::Event::Up {
                    outbox,
                    lease,
                    since,
                },
            ) => {
                self.schedulers.up(id, outbox);
                self.renewed(lease, since, at);
                self.ask_again(None, at);
            }
            Event::Scheduler(id, scheduler::Event::Frame(frame)) => self.heed(id, *frame, at),
            Event::Scheduler(id, scheduler::Event::Down) => {
                self.schedulers.down(id);
                self.inventory.now();
                self.ask_again(Some(id), at);
            }
            Event::Executor(id, executor::Event::Up { outbox, capacity }) => {
                self.executors.up(id, outbox, capacity);
                if let Some(until) = self.session.valid_until() {
                    self.executors.valid_until(until);
                }
            }
            Event::Executor(id, executor::Event::Capacity(capacity)) => {
                self.executors.set_capacity(id, capacity);
            }
            Event::Executor(id, executor::Event::Reports(reports)) => {
                for report in reports {
                    self.reported(id, report, at);
                }
            }
            Event::Executor(id, executor::Event::Down) => {
                self.executors.down(id);
                self.give_up_calls(at, |executor| executor == id);
            }
            Event::WhatIsHeld(answer) => {
                let ids = self.held.keys().map(ToString::to_string).collect();
                // A link that has gone asks again when it is back.
                let _ = answer.send(ids);
            }
            Event::Finalized(answers) => {
                self.finalizer.ended();
                for (id, answer) in answers {
                    self.finalized(id, answer, at);
                }
            }
        }
    }

    fn heed(&mut self, id: LinkId, frame: WorkResponse, at: Instant) {
        let WorkResponse {
            welcome: _,
            grants,
            saved,
            renewed_for,
        } = frame;
        if let Some(lease) = renewed_for.and_then(|lease| Duration::try_from(lease).ok())
            && let Some(since) = self.schedulers.answered(id)
        {
            self.renewed(lease, since, at);
        }
        for saved in saved {
            self.saved(saved, at);
        }
        self.schedulers.granted(id, grants.len());
        for grant in grants {
            self.granted(id, grant, at);
        }
    }

    fn renewed(&mut self, lease: Duration, since: Instant, at: Instant) {
        self.session.renew(lease, since);
        if let Some(until) = self.session.valid_until() {
            self.executors.valid_until(until);
        }
        if self.heartbeat_at.is_none() {
            self.heartbeat_at = Some(at);
        }
    }

    fn granted(&mut self, home: LinkId, grant: Grant, at: Instant) {
        let status = grant.operation.as_ref().and_then(|o| o.status.as_ref());
        let epoch = status.map(|status| status.epoch).unwrap_or_default();
        let spec = grant.operation.as_ref().and_then(|o| o.spec.as_ref());
        let operation_id = spec.map(|spec| spec.operation_id.clone());
        let held = match Held::new(grant, home, at) {
            Ok(held) => held,
            Err(invalid) => {
                tracing::error!(operation.id = operation_id, %invalid, "cannot read a granted operation");
                let release = Release {
                    operation_id: operation_id.unwrap_or_default(),
                    epoch,
                    retry_in: prost_types::Duration::try_from(UNREADABLE).ok(),
                };
                return self
                    .schedulers
                    .release(home, scheduler::Word::Release(release));
            }
        };
        if let Some(before) = self.take(held.id()) {
            if before.operation.epoch >= epoch {
                return self.keep(before);
            }
            self.forget(before);
        }
        self.drive(Box::new(held), at);
    }

    fn reported(&mut self, executor: LinkId, report: CallReport, at: Instant) {
        let Some(mut held) = report
            .operation_id
            .parse()
            .ok()
            .and_then(|id| self.take(id))
        else {
            return;
        };
        let (webhook, attempt) = (report.webhook_index as usize, report.attempt);
        let call = held.calls.iter().position(|call| {
            (call.executor, call.webhook, call.attempt) == (executor, webhook, attempt)
        });
        let Some(call) = call else {
            return self.keep(held);
        };
        held.calls.swap_remove(call);
        self.executors.ended(executor);
        binnacle_boot::failpoint::reach("operations.reported");
        let now = held.now(at);
        let event = match Report::try_from(report) {
            Ok(report) => self.heard(&held, report, now),
            Err(invalid) => {
                tracing::error!(operation.id = %held.id(), %invalid, "cannot read a report");
                Happened::Lost { webhook }
            }
        };
        held.record(event, now, &self.metrics);
        self.drive(held, at);
    }

    /// Gives up the calls at those executors; nobody knows what came of them.
    fn give_up_calls(&mut self, at: Instant, which: impl Fn(LinkId) -> bool) {
        let concerned: Vec<OperationId> = self
            .held
            .iter()
            .filter(|(_, held)| held.calls.iter().any(|call| which(call.executor)))
            .map(|(id, _)| *id)
            .collect();
        for id in concerned {
            let Some(mut held) = self.take(id) else {
                continue;
            };
            let now = held.now(at);
            let lost: Vec<usize> = held
                .calls
                .iter()
                .filter(|call| which(call.executor))
                .map(|call| call.webhook)
                .collect();
            for webhook in lost {
                self.lose(&mut held, webhook, now);
            }
            self.drive(held, at);
        }
    }

    /// The session was not renewed in time. What has calls under way loses them and is saved, which
    /// tells whether it is still the worker's; the rest is not acted upon any more.
    fn let_everything_go(&mut self, at: Instant) {
        let held = self.held.len();
        tracing::warn!(
            held,
            "the session was not renewed in time: giving everything up"
        );
        self.give_up_calls(at, |_| true);
        let free = |held: &Held| held.stage == Stage::Free;
        let idle: Vec<OperationId> = self
            .held
            .iter()
            .filter(|(_, held)| free(held))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            if let Some(held) = self.take(id) {
                self.release(held, Duration::ZERO);
            }
        }
    }

    fn look_at_the_clock(&mut self, at: Instant) {
        if let Some(interval) = self.session.heartbeat()
            && self.heartbeat_at.is_some_and(|due| due <= at)
        {
            let held = self.inventory.is_due().then(|| v1::Held {
                operation_ids: self.held.keys().map(ToString::to_string).collect(),
            });
            self.schedulers.heartbeat(at, interval * 3, held.as_ref());
            self.heartbeat_at = Some(at + interval);
        }
        while let Some(id) = self.timers.due(at) {
            if let Some(mut held) = self.take(id) {
                held.timer = None;
                self.woken(held, at);
            }
        }
        if self.stopping.is_some_and(|(calls, _)| calls <= at) {
            self.give_up_calls(at, |_| true);
        }
    }

    /// Whether it is to stop, and nothing is under way any more or may be.
    fn is_at_rest(&self, at: Instant) -> bool {
        let Some((_, end)) = self.stopping else {
            return false;
        };
        let at_rest = |held: &Held| held.stage == Stage::Free && held.calls.is_empty();
        end <= at || self.held.values().all(|held| at_rest(held))
    }

    fn flush(&mut self) {
        let limit = match (self.stopping, self.executors.count()) {
            (Some(_), _) => 0,
            (None, 0) => self.capacity.min(WITHOUT_EXECUTOR),
            (None, _) => self.capacity,
        };
        let room = limit.saturating_sub(self.held.len());
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.metrics.held.set(count(self.held.len()));
        self.metrics.calls.set(count(self.executors.calls()));
        self.metrics.schedulers.set(count(self.schedulers.count()));
        self.metrics.executors.set(count(self.executors.count()));
        self.schedulers.flush(room, self.capacity);
        self.executors.flush();
        self.finalizer.flush();
    }

    fn take(&mut self, id: OperationId) -> Option<Box<Held>> {
        let mut held = self.held.remove(&id)?;
        if std::mem::take(&mut held.dozing) {
            self.dozing -= 1;
        }
        Some(held)
    }

    fn keep(&mut self, held: Box<Held>) {
        if held.dozing {
            self.dozing += 1;
        }
        self.held.insert(held.id(), held);
    }
}

async fn wake(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
