//! Saving, concluding, finalizing, done: the words that an operation exchanges with the scheduler
//! and the registry.

use binnacle_boot::failpoint;
use binnacle_domain::operation::{Event, OperationId, Outcome};
use binnacle_proto::director::v1::{FinalizationResult, FinalizationState};
use binnacle_proto::scheduler::v1::{Done, Report, Saved};
use binnacle_proto::{duration_to, webhook_status_to};
use tokio::time::Instant;

use super::Worker;
use super::held::{Held, Stage, Then};
use crate::link::{LinkId, scheduler};

impl Worker {
    /// Sends what has changed to be saved.
    pub(super) fn save(&mut self, held: &mut Held, then: Then) {
        held.rows_sent.append(&mut held.rows);
        held.changed = false;
        let operation = &held.operation;
        let webhooks = operation.webhooks.iter().cloned();
        let report = Report {
            operation_id: held.id().to_string(),
            epoch: operation.epoch,
            version: operation.version,
            webhooks: webhooks.map(webhook_status_to).collect(),
            attempts: held.rows_sent.iter().cloned().map(Into::into).collect(),
            concluded: match &then {
                Then::Conclude(outcome) => Some(outcome.clone().into()),
                Then::GoOn | Then::LetGo(_) => None,
            },
            release_for: match then {
                Then::LetGo(wait) => Some(duration_to(wait)),
                Then::GoOn | Then::Conclude(_) => None,
            },
        };
        held.stage = Stage::Saving(then);
        let word = scheduler::Word::Report(Box::new(report));
        held.asked = self.schedulers.say(held.home, word);
    }

    /// Asks another scheduler what `gone` has not answered; `None`: what nobody was asked.
    pub(super) fn ask_again(&mut self, gone: Option<LinkId>, at: Instant) {
        let unanswered = |held: &Held| {
            let asks = matches!(held.stage, Stage::Saving(_) | Stage::Ending(_));
            asks && held.asked == gone
        };
        let concerned: Vec<OperationId> = self
            .held
            .iter()
            .filter(|(_, held)| unanswered(held))
            .map(|(id, _)| *id)
            .collect();
        for id in concerned {
            let Some(mut held) = self.take(id) else {
                continue;
            };
            if let Stage::Ending(outcome) = &held.stage {
                let outcome = outcome.clone();
                self.end(&mut held, outcome);
                self.keep(held);
            } else {
                held.unsend();
                self.drive(held, at);
            }
        }
    }

    /// A scheduler has answered a report or a done.
    pub(super) fn saved(&mut self, saved: Saved, at: Instant) {
        let Saved {
            operation_id,
            epoch,
            ok,
            version,
        } = saved;
        let Some(mut held) = operation_id.parse().ok().and_then(|id| self.take(id)) else {
            return;
        };
        let awaited = matches!(held.stage, Stage::Saving(_) | Stage::Ending(_));
        if !awaited || held.operation.epoch != epoch {
            return self.keep(held);
        }
        if !ok {
            tracing::info!(operation.id = %held.id(), "the operation is no longer mine to drive");
            self.metrics.stale.inc();
            // Should the lease still be this session's after all (an answer was lost on the way),
            // then nobody else would ever be granted it.
            return self.release(held, std::time::Duration::ZERO);
        }
        held.operation.version = version;
        held.rows_sent.clear();
        match std::mem::replace(&mut held.stage, Stage::Free) {
            Stage::Saving(Then::GoOn) => self.drive(held, at),
            Stage::Saving(Then::Conclude(outcome)) => {
                failpoint::reach("operations.concluded");
                let now = held.now(at);
                held.operation.record(Event::Concluded(outcome), now);
                self.drive(held, at);
            }
            Stage::Saving(Then::LetGo(_)) | Stage::Ending(_) => self.forget(held),
            Stage::Free | Stage::Finalizing => {}
        }
    }

    /// The registry has answered about an outcome, or not.
    pub(super) fn finalized(
        &mut self,
        id: OperationId,
        answer: Option<FinalizationResult>,
        at: Instant,
    ) {
        let Some(mut held) = self.take(id) else {
            return;
        };
        if held.stage != Stage::Finalizing {
            return self.keep(held);
        }
        let (state, outcome) = answer.map_or((FinalizationState::Retry, None), |answer| {
            (answer.state(), answer.outcome.map(Outcome::from))
        });
        let label = match state {
            FinalizationState::Applied => "applied",
            FinalizationState::AlreadyApplied => "already_applied",
            FinalizationState::ResourceGone => "resource_gone",
            FinalizationState::Unknown => "unknown",
            FinalizationState::Retry | FinalizationState::Unspecified => "retry",
        };
        self.metrics.finalizations.with_label_values(&[label]).inc();
        if label == "retry" {
            let again = Some(at + held.next_pause());
            self.timers.set(id, &mut held.timer, again);
            return self.keep(held);
        }
        if state == FinalizationState::Unknown {
            tracing::error!(
                operation.id = %id,
                resource.id = %held.operation.spec.resource.id,
                "the registry knows nothing of a concluded operation, and its resource is another \
                 operation's or nobody's: was the registry restored from a backup?"
            );
        }
        failpoint::reach("operations.finalized");
        let differing = outcome.filter(|outcome| held.operation.outcome() != Some(outcome));
        self.end(&mut held, differing);
        self.keep(held);
    }

    /// Tells the scheduler that the registry holds the outcome.
    fn end(&mut self, held: &mut Held, outcome: Option<Outcome>) {
        let done = Done {
            operation_id: held.id().to_string(),
            epoch: held.operation.epoch,
            outcome: outcome.clone().map(Into::into),
        };
        held.stage = Stage::Ending(outcome);
        held.asked = self.schedulers.say(held.home, scheduler::Word::Done(done));
    }
}
