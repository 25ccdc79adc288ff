//! The operation machine: what to do next, and what a report changes.

use std::cmp::Ordering;

use super::{
    Attempt, AttemptResult, Exchange, Operation, Outcome, Phase, WebhookState, WebhookStatus,
    attempt::{row, run_so_far, run_with},
};
use crate::{Time, retry};

/// What an operation wants done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start this attempt, and record [`Event::Sent`].
    Send(Send),
    /// The attempt under way was not reported in time: record [`Event::Lost`].
    Lost {
        /// Position of the webhook.
        webhook: usize,
    },
    /// The webhook's time is over: record [`Event::Expired`].
    Expire {
        /// Position of the webhook.
        webhook: usize,
    },
    /// Nothing before this time.
    SleepUntil(Time),
    /// Every webhook has settled: save this outcome, then record [`Event::Concluded`].
    Conclude(Outcome),
    /// Have the registry apply this outcome, then record [`Event::Finalized`].
    Finalize(Outcome),
    /// Nothing, ever.
    Rest,
}

/// An attempt to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Position of the webhook.
    pub webhook: usize,
    /// Number of the attempt within the webhook, from 1.
    pub number: u32,
    /// The location to poll; `None`: call the webhook.
    pub poll_url: Option<String>,
    /// When the webhook is given up, which bounds the exchange.
    pub deadline: Time,
}

/// What came of an exchange, read through the webhook's templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The external system has finished.
    Succeeded,
    /// The call was accepted; poll this location.
    Accepted {
        /// Absolute URL.
        poll_url: String,
    },
    /// The external system is still working.
    InProgress,
    /// Final: a polled failure, or a template that fails.
    Failed {
        /// Why.
        reason: String,
    },
    /// Final: the gone code. A success where there is nothing left to remove.
    Gone {
        /// Why.
        reason: String,
    },
    /// Anything else: tried again until the deadline.
    Retry {
        /// Why.
        reason: String,
    },
}

/// What the executor says about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Position of the webhook.
    pub webhook: usize,
    /// Number of the attempt that it is about.
    pub attempt: u32,
    /// What came of it.
    pub verdict: Verdict,
    /// The exchange.
    pub exchange: Exchange,
}

/// What has happened to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The attempt that [`Step::Send`] asked for was started.
    Sent {
        /// Position of the webhook.
        webhook: usize,
        /// When it counts as lost.
        until: Time,
    },
    /// The executor has reported.
    Reported {
        /// What it says.
        report: Report,
        /// What is to be tried again is not tried before this, whatever its interval: others retry the same
        /// destination ([`retry::Spacing`]).
        not_before: Option<Time>,
    },
    /// The attempt under way is past its `until`, or its executor is gone.
    Lost {
        /// Position of the webhook.
        webhook: usize,
    },
    /// The webhook is past its deadline.
    Expired {
        /// Position of the webhook.
        webhook: usize,
    },
    /// The outcome was saved.
    Concluded(Outcome),
    /// The registry holds this outcome.
    Finalized(Outcome),
}

/// What an event changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Nothing: it was late, repeated or about something else.
    Stale,
    /// The operation.
    Changed {
        /// How an attempt ended, if one did.
        ended: Option<AttemptResult>,
        /// Rows of the ledger to write, in this order: of the run that is over, and of the attempt unless it
        /// belongs to a run that has a row.
        rows: Vec<Attempt>,
    },
}

impl Recorded {
    /// No attempt has ended, and no run.
    const PROGRESS: Self = Self::Changed {
        ended: None,
        rows: Vec::new(),
    };
}

impl Operation {
    /// What to do at `now`. Reads only the saved state and the time, so first run, wake-up and restart are one
    /// path.
    pub fn next(&self, now: Time) -> Step {
        match &self.phase {
            Phase::Done(_) => return Step::Rest,
            Phase::Concluded(outcome) => return Step::Finalize(outcome.clone()),
            Phase::Running => {}
        }
        let mut wake: Option<Time> = None;
        for (index, status) in self.webhooks.iter().enumerate() {
            match self.next_of(index, status, now) {
                None => {}
                Some(Step::SleepUntil(at)) => wake = Some(wake.map_or(at, |w| w.min(at))),
                Some(step) => return step,
            }
        }
        wake.map_or_else(|| Step::Conclude(self.fold()), Step::SleepUntil)
    }

    fn next_of(&self, index: usize, status: &WebhookStatus, now: Time) -> Option<Step> {
        let expired = status.deadline.is_some_and(|deadline| deadline <= now);
        match status.state {
            WebhookState::Settled(_) => None,
            WebhookState::Sent { until } if now < until => Some(Step::SleepUntil(until)),
            WebhookState::Sent { .. } => Some(Step::Lost { webhook: index }),
            WebhookState::Waiting { .. } if expired => Some(Step::Expire { webhook: index }),
            WebhookState::Waiting { from } if now < from => Some(Step::SleepUntil(
                status.deadline.map_or(from, |deadline| deadline.min(from)),
            )),
            WebhookState::Waiting { .. } => {
                let deadline = self.deadline_of(index, now);
                if deadline <= now {
                    return Some(Step::Expire { webhook: index });
                }
                Some(Step::Send(Send {
                    webhook: index,
                    number: status.attempts() + 1,
                    poll_url: status.poll_url.clone(),
                    deadline,
                }))
            }
        }
    }

    /// The deadline in force, or the one that a first call at `now` would set.
    fn deadline_of(&self, index: usize, now: Time) -> Time {
        let set = self.webhooks.get(index).and_then(|status| status.deadline);
        let timeout = self
            .spec
            .webhooks
            .get(index)
            .and_then(|webhook| webhook.timeout);
        set.unwrap_or_else(|| now + retry::timeout(timeout))
    }

    fn fold(&self) -> Outcome {
        let failed = self.webhooks.iter().find_map(|status| match &status.state {
            WebhookState::Settled(outcome @ Outcome::Failed { .. }) => Some(outcome.clone()),
            _ => None,
        });
        failed.unwrap_or(Outcome::Succeeded)
    }

    /// Folds an event in. What is late, repeated or about another attempt changes nothing.
    pub fn record(&mut self, event: Event, now: Time) -> Recorded {
        match (event, &self.phase) {
            (Event::Concluded(outcome), Phase::Running) => {
                self.phase = Phase::Concluded(outcome);
                Recorded::PROGRESS
            }
            (Event::Finalized(outcome), Phase::Concluded(_)) => {
                self.phase = Phase::Done(outcome);
                self.done_at = Some(now);
                Recorded::PROGRESS
            }
            (Event::Sent { webhook, until }, Phase::Running) => self.sent(webhook, until, now),
            (Event::Reported { report, not_before }, Phase::Running) => {
                self.reported(report, not_before, now)
            }
            (Event::Lost { webhook }, Phase::Running) => self.lost(webhook, now),
            (Event::Expired { webhook }, Phase::Running) => self.expired(webhook, now),
            _ => Recorded::Stale,
        }
    }

    /// Takes over an operation whose former holder ended without a word: what was due may have been sent, and
    /// stands in the ledger as unknown.
    pub fn take_over(&mut self, now: Time) -> Vec<Attempt> {
        if self.phase != Phase::Running {
            return Vec::new();
        }
        let due = |status: &WebhookStatus| match status.state {
            WebhookState::Waiting { from } => from <= now,
            WebhookState::Sent { .. } => true,
            WebhookState::Settled(_) => false,
        };
        let open: Vec<usize> = (0..self.webhooks.len())
            .filter(|i| due(&self.webhooks[*i]))
            .collect();
        let mut rows = Vec::with_capacity(open.len());
        for index in open {
            if let WebhookState::Waiting { from } = self.webhooks[index].state {
                // Given up before it was due, so nobody can have sent it.
                if self.deadline_of(index, from) <= from {
                    continue;
                }
                self.sent(index, now, now);
            }
            if let Recorded::Changed { rows: lost, .. } = self.lost(index, now) {
                rows.extend(lost);
            }
        }
        rows
    }

    fn sent(&mut self, index: usize, until: Time, now: Time) -> Recorded {
        let deadline = self.deadline_of(index, now);
        let Some(status) = self.webhooks.get_mut(index) else {
            return Recorded::Stale;
        };
        if !matches!(status.state, WebhookState::Waiting { .. }) {
            return Recorded::Stale;
        }
        status.deadline = Some(deadline);
        status.state = WebhookState::Sent { until };
        if status.poll_url.is_some() {
            status.polls += 1;
            status.last_poll_at = Some(now);
        } else {
            status.calls += 1;
        }
        Recorded::PROGRESS
    }

    fn lost(&mut self, index: usize, now: Time) -> Recorded {
        let Some(status) = self.webhooks.get_mut(index) else {
            return Recorded::Stale;
        };
        if !matches!(status.state, WebhookState::Sent { .. }) {
            return Recorded::Stale;
        }
        let run = run_so_far(status);
        status.state = WebhookState::Waiting { from: now };
        status.run = None;
        let result = AttemptResult::Unknown;
        let row = row(status, result, Exchange::unknown(now), String::new());
        changed(Some(result), run, Some(row))
    }

    fn expired(&mut self, index: usize, now: Time) -> Recorded {
        let deadline = self.deadline_of(index, now);
        let Some(status) = self.webhooks.get_mut(index) else {
            return Recorded::Stale;
        };
        if !matches!(status.state, WebhookState::Waiting { .. }) || now < deadline {
            return Recorded::Stale;
        }
        let run = run_so_far(status);
        status.run = None;
        status.deadline = Some(deadline);
        status.state = WebhookState::Settled(Outcome::Failed {
            error: retry::TIMEOUT_REACHED.to_owned(),
            detail: status.last_error.clone(),
        });
        changed(None, run, None)
    }

    fn reported(&mut self, report: Report, not_before: Option<Time>, now: Time) -> Recorded {
        let Report {
            webhook,
            attempt,
            verdict,
            exchange,
        } = report;
        let gone_is_success = self.spec.gone_is_success();
        let interval = self
            .spec
            .webhooks
            .get(webhook)
            .and_then(|webhook| webhook.retry_interval);
        let from = now + retry::interval(interval);
        let again = WebhookState::Waiting { from };
        let later = WebhookState::Waiting {
            from: not_before.map_or(from, |at| at.max(from)),
        };
        let Some(status) = self.webhooks.get_mut(webhook) else {
            return Recorded::Stale;
        };
        let current = status.attempts().cmp(&attempt) == Ordering::Equal;
        if !current || !matches!(status.state, WebhookState::Sent { .. }) {
            return Recorded::Stale;
        }
        let failed = |reason: &String| {
            WebhookState::Settled(Outcome::Failed {
                error: reason.clone(),
                detail: String::new(),
            })
        };
        let settled = WebhookState::Settled(Outcome::Succeeded);
        let so_far = run_so_far(status);
        let run = status.run.take();
        let polled = status.poll_url.is_some();
        let (state, result, error) = match verdict {
            Verdict::Succeeded => (settled, AttemptResult::Succeeded, String::new()),
            Verdict::Accepted { poll_url } => {
                let first = row_of_acceptance(status, poll_url, exchange, now, polled);
                return changed(Some(AttemptResult::Accepted), so_far, Some(first));
            }
            Verdict::InProgress => (again, AttemptResult::InProgress, String::new()),
            Verdict::Failed { reason } => (failed(&reason), AttemptResult::Failed, reason),
            Verdict::Gone { reason } if gone_is_success => (settled, AttemptResult::Gone, reason),
            Verdict::Gone { reason } => (failed(&reason), AttemptResult::Gone, reason),
            Verdict::Retry { reason } => (later, AttemptResult::Retried, reason),
        };
        status.state = state;
        status.last_error.clone_from(&error);
        if result == AttemptResult::InProgress {
            let run = run_with(run, attempt, &exchange);
            status.run = Some(run);
            if run.first < attempt {
                return changed(Some(result), None, None);
            }
        }
        let row = row(status, result, exchange, error);
        changed(Some(result), so_far, Some(row))
    }
}

fn changed(ended: Option<AttemptResult>, run: Option<Attempt>, row: Option<Attempt>) -> Recorded {
    Recorded::Changed {
        ended,
        rows: run.into_iter().chain(row).collect(),
    }
}

/// An accepted call is polled at once (contract section 4.3, row 20). The row is that of a call, so it is made
/// before the location is kept.
fn row_of_acceptance(
    status: &mut WebhookStatus,
    poll_url: String,
    exchange: Exchange,
    now: Time,
    polled: bool,
) -> Attempt {
    status.state = WebhookState::Waiting { from: now };
    status.last_error.clear();
    let first = row(status, AttemptResult::Accepted, exchange, String::new());
    if !polled {
        status.poll_url = Some(poll_url);
    }
    first
}
