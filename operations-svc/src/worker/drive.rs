//! Doing what the machine says, until it says to wait.

use std::time::Duration;

use binnacle_boot::failpoint;
use binnacle_domain::operation::{Event, Recorded, Report, Send, Step, Verdict};
use binnacle_domain::{Time, retry};
use binnacle_proto::duration_to;
use binnacle_proto::executor::v1::Call;
use binnacle_proto::scheduler::v1::Release;
use chrono::TimeDelta;
use tokio::time::Instant;

use super::Worker;
use super::held::{Held, Stage, Then, UnderWay};
use crate::link::{executor, scheduler};

/// Shorter waits keep their lease; longer ones live in the database only.
const LONGEST_DOZE: TimeDelta = TimeDelta::seconds(10);
/// The executor bounds an exchange; this bounds what the worker waits for when it does not.
const LONGEST_CALL: TimeDelta = TimeDelta::seconds(120);
/// How long a report may take to arrive after its exchange has ended.
const REPORT_GRACE: TimeDelta = TimeDelta::seconds(5);
/// How long an operation waits for room at an executor before its lease goes back.
const PATIENCE: Duration = Duration::from_secs(3);
/// When it is due again after that.
const COME_BACK: Duration = Duration::from_secs(2);

impl Worker {
    /// Does what `held` wants done, and keeps it or lets it go.
    pub(super) fn drive(&mut self, mut held: Box<Held>, at: Instant) {
        let mut timer = None;
        while held.stage == Stage::Free {
            let now = held.now(at);
            match held.operation.next(now) {
                Step::Lost { webhook } => self.lose(&mut held, webhook, now),
                Step::Expire { webhook } => {
                    held.record(Event::Expired { webhook }, now, &self.metrics);
                }
                Step::Send(_) if held.changed => self.save(&mut held, Then::GoOn),
                Step::Send(send) => {
                    if !self.send(&mut held, send, at) {
                        self.enqueue(&mut held);
                        timer = Some(at + PATIENCE);
                        break;
                    }
                }
                Step::SleepUntil(_) if held.changed && !held.calls.is_empty() => {
                    self.save(&mut held, Then::GoOn);
                }
                Step::SleepUntil(until) => {
                    let wait = until - now;
                    if held.calls.is_empty() && !self.may_doze(wait) {
                        if !held.changed {
                            return self.release(held, wait.to_std().unwrap_or_default());
                        }
                        self.save(&mut held, Then::LetGo(wait));
                    } else if held.changed {
                        self.save(&mut held, Then::GoOn);
                    } else {
                        held.dozing = held.calls.is_empty();
                        timer = Some(at + wait.to_std().unwrap_or_default());
                        break;
                    }
                }
                Step::Conclude(outcome) => self.save(&mut held, Then::Conclude(outcome)),
                Step::Finalize(outcome) => {
                    held.stage = Stage::Finalizing;
                    self.finalizer.push(held.id(), outcome);
                }
                Step::Rest => return self.release(held, Duration::ZERO),
            }
        }
        let id = held.id();
        self.timers.set(id, &mut held.timer, timer);
        self.keep(held);
    }

    fn may_doze(&self, wait: TimeDelta) -> bool {
        wait <= LONGEST_DOZE && self.dozing < self.capacity / 2
    }

    /// Starts an attempt, if it may be started now and an executor has room for it.
    fn send(&mut self, held: &mut Held, send: Send, at: Instant) -> bool {
        if self.stopping.is_some() || !self.session.is_valid(at) {
            return false;
        }
        let Some(executor) = self.executors.next() else {
            return false;
        };
        let Send {
            webhook,
            number,
            poll_url,
            deadline,
        } = send;
        let now = held.now(at);
        let valid_for = (deadline - now).min(LONGEST_CALL);
        let until = now + valid_for + REPORT_GRACE;
        // The grant has already said that the attempt is made, so this is not saved.
        if held.operation.record(Event::Sent { webhook, until }, now) == Recorded::Stale {
            return false;
        }
        if let Some(place) = held.queued.take() {
            self.queue.remove(&place);
        }
        failpoint::reach("operations.granted");
        let spec = &held.operation.spec;
        tracing::debug!(
            operation.id = %held.id(),
            correlation.id = spec.correlation_id,
            webhook.index = webhook,
            webhook.attempt = number,
            "calling"
        );
        let call = Call {
            operation_id: held.id().to_string(),
            webhook_index: u32::try_from(webhook).unwrap_or(u32::MAX),
            attempt: number,
            webhook: spec.webhooks.get(webhook).cloned().map(Into::into),
            request_object: spec.request_object.clone(),
            correlation_id: spec.correlation_id.clone(),
            poll_url: poll_url.unwrap_or_default(),
            valid_for: Some(duration_to(valid_for)),
            traceparent: spec.traceparent.clone(),
        };
        self.executors
            .call(executor, executor::Word::Call(Box::new(call)));
        held.calls.push(UnderWay {
            executor,
            webhook,
            attempt: number,
        });
        true
    }

    /// The event that a report is; a retry has its place among those of its destination.
    pub(super) fn heard(&mut self, held: &Held, report: Report, now: Time) -> Event {
        let webhook = held.operation.spec.webhooks.get(report.webhook);
        let not_before = match (&report.verdict, webhook) {
            (Verdict::Retry { .. }, Some(webhook)) => {
                let delay = self.spacing.delay(webhook.destination(), now);
                Some(now + retry::interval(webhook.retry_interval) + delay)
            }
            _ => None,
        };
        Event::Reported { report, not_before }
    }

    /// Records that nobody knows what came of a webhook's attempt, and has it given up.
    pub(super) fn lose(&mut self, held: &mut Held, webhook: usize, now: Time) {
        let operation_id = held.id().to_string();
        let executors = &mut self.executors;
        held.calls.retain(|call| {
            let lost = call.webhook == webhook;
            if lost {
                executors.ended(call.executor);
                executors.abort(call.executor, operation_id.clone());
            }
            !lost
        });
        held.record(Event::Lost { webhook }, now, &self.metrics);
    }

    /// Puts an operation that found no room in the queue for it.
    fn enqueue(&mut self, held: &mut Held) {
        if held.queued.is_none() {
            held.queued = Some(self.next_place);
            self.queue.insert(self.next_place, held.id());
            self.next_place += 1;
        }
    }

    /// Drives those who wait for room, while there is some.
    pub(super) fn feed(&mut self, at: Instant) {
        let may_send = self.stopping.is_none() && self.session.is_valid(at);
        while may_send && self.executors.next().is_some() {
            let Some((_, id)) = self.queue.pop_first() else {
                return;
            };
            if let Some(mut held) = self.take(id) {
                held.queued = None;
                self.drive(held, at);
            }
        }
    }

    /// Looks at an operation whose moment has come.
    pub(super) fn woken(&mut self, held: Box<Held>, at: Instant) {
        if held.stage == Stage::Finalizing {
            if let Some(outcome) = held.operation.outcome().cloned() {
                self.finalizer.push(held.id(), outcome);
            }
            return self.keep(held);
        }
        let gives_up = held.queued.is_some() && held.calls.is_empty() && !held.changed;
        if gives_up && held.stage == Stage::Free {
            return self.release(held, COME_BACK);
        }
        self.drive(held, at);
    }

    /// Gives the lease of an operation back that was not acted upon.
    pub(super) fn release(&mut self, held: Box<Held>, retry_in: Duration) {
        let release = Release {
            operation_id: held.id().to_string(),
            epoch: held.operation.epoch,
            retry_in: prost_types::Duration::try_from(retry_in).ok(),
        };
        let home = held.home;
        self.forget(held);
        self.schedulers
            .release(home, scheduler::Word::Release(release));
    }

    /// Gives back what has nothing under way, so that nobody has to wonder whether it was acted upon.
    pub(super) fn hand_back(&mut self, at: Instant) {
        let is_idle =
            |held: &Held| held.stage == Stage::Free && held.calls.is_empty() && !held.changed;
        let idle = self.held.iter().filter(|(_, held)| is_idle(held));
        let idle: Vec<_> = idle.map(|(id, _)| *id).collect();
        for id in idle {
            let Some(held) = self.take(id) else { continue };
            let now = held.now(at);
            let wait = match held.operation.next(now) {
                Step::SleepUntil(until) => (until - now).to_std().unwrap_or_default(),
                _ => Duration::ZERO,
            };
            self.release(held, wait);
        }
        self.flush();
    }

    /// Drops an operation, and gives up its calls.
    pub(super) fn forget(&mut self, mut held: Box<Held>) {
        let id = held.id();
        self.timers.set(id, &mut held.timer, None);
        if let Some(place) = held.queued {
            self.queue.remove(&place);
        }
        for call in &held.calls {
            self.executors.ended(call.executor);
            self.executors.abort(call.executor, id.to_string());
        }
    }
}
