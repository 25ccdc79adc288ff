//! Every history of an operation: sends, losses, reports of each verdict, repeats, stale reports
//! and take-overs, in every order up to the deadline and a little beyond. From every state that
//! can be reached the rules hold, and left alone the operation comes to rest.
//!
//! Attempts take no time here, so any number of them fits into a second; a history ends where a
//! webhook has had more of them than is told.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use binnacle_domain::operation::{
    Attempt, AttemptKind, AttemptResult, Event, Operation, Outcome, Phase, Recorded, Step, Verdict,
    WebhookState, WebhookStatus, bring_up_to_date,
};
use chrono::TimeDelta;

use crate::operation::{at, exchange, operation, report, webhook};

/// How long an attempt may be under way before it counts as lost.
const LOST_AFTER: i64 = 1;

/// By how much a retry may be put off: by more than an interval.
const PUT_OFF: i64 = 3;

fn verdicts() -> [Verdict; 6] {
    let reason = || "reason".to_owned();
    [
        Verdict::Succeeded,
        Verdict::Accepted {
            poll_url: "http://system.test/status".to_owned(),
        },
        Verdict::InProgress,
        Verdict::Failed { reason: reason() },
        Verdict::Gone { reason: reason() },
        Verdict::Retry { reason: reason() },
    ]
}

/// A state to look at, and when.
type Moment = (Operation, i64);

struct Exploration {
    /// The most attempts of a webhook.
    most: u32,
    /// Nothing new happens after this second.
    end: i64,
    seen: HashSet<u64>,
    open: Vec<Moment>,
}

/// Goes through every history of an operation whose webhooks have these timeouts, and at most
/// `most` attempts each.
fn explore(timeouts: &[u32], most: u32) -> usize {
    let webhooks = (1..)
        .zip(timeouts)
        .map(|(id, timeout)| webhook(id, 1, *timeout));
    let longest = timeouts.iter().copied().max().unwrap_or_default();
    let mut exploration = Exploration {
        most,
        end: i64::from(longest) + 2,
        seen: HashSet::new(),
        open: Vec::new(),
    };
    exploration.visit((operation(webhooks.collect()), 0));
    while let Some(moment) = exploration.open.pop() {
        exploration.look(&moment);
    }
    exploration.seen.len()
}

impl Exploration {
    fn visit(&mut self, (operation, now): Moment) {
        if operation
            .webhooks
            .iter()
            .any(|status| status.attempts() > self.most)
        {
            return;
        }
        let mut hasher = DefaultHasher::new();
        format!("{now} {:?} {:?}", operation.phase, operation.webhooks).hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.open.push((operation, now));
        }
    }

    fn look(&mut self, (before, now): &Moment) {
        rests_in_the_end(before.clone(), *now);
        nothing_late_counts(before, *now);
        if *now < self.end {
            self.visit((before.clone(), now + 1));
        }
        self.holder_acts(before, *now);
        self.visit((taken_over(before, *now), *now));
        for (index, status) in before.webhooks.iter().enumerate() {
            if !matches!(status.state, WebhookState::Sent { .. }) {
                continue;
            }
            for verdict in verdicts() {
                let mut event = report(index, status.attempts(), verdict);
                self.visit((happened(before, &event, *now), *now));
                if let Event::Reported { not_before, .. } = &mut event {
                    *not_before = Some(at(now + PUT_OFF));
                }
                self.visit((happened(before, &event, *now), *now));
            }
            let lost = Event::Lost { webhook: index };
            self.visit((happened(before, &lost, *now), *now));
        }
    }

    /// Whoever holds the operation does what it says.
    fn holder_acts(&mut self, before: &Operation, now: i64) {
        if let Some(event) = event_of(before, now) {
            self.visit((happened(before, &event, now), now));
        }
    }
}

/// What the next step comes to, having checked that it may be taken.
fn event_of(operation: &Operation, now: i64) -> Option<Event> {
    Some(match operation.next(at(now)) {
        Step::Send(send) => {
            let status = &operation.webhooks[send.webhook];
            assert!(at(now) < send.deadline, "nothing starts after the deadline");
            assert!(
                status
                    .deadline
                    .is_none_or(|deadline| deadline == send.deadline)
            );
            assert_eq!(send.number, status.attempts() + 1);
            assert_eq!(
                send.poll_url, status.poll_url,
                "once accepted, never called again"
            );
            Event::Sent {
                webhook: send.webhook,
                until: at(now + LOST_AFTER),
            }
        }
        Step::Lost { webhook } => Event::Lost { webhook },
        Step::Expire { webhook } => Event::Expired { webhook },
        Step::Conclude(outcome) => {
            assert_eq!(outcome, fold(operation));
            Event::Concluded(outcome)
        }
        Step::Finalize(outcome) => Event::Finalized(outcome),
        Step::SleepUntil(time) => {
            assert!(time > at(now));
            for status in &operation.webhooks {
                let bound = match status.state {
                    WebhookState::Waiting { .. } => status.deadline,
                    WebhookState::Sent { until } => Some(until),
                    WebhookState::Settled(_) => None,
                };
                assert!(
                    bound.is_none_or(|bound| time <= bound),
                    "sleeps past {bound:?}"
                );
            }
            return None;
        }
        Step::Rest => return None,
    })
}

/// The operation succeeds when all webhooks do; its failure is that of the first that failed.
fn fold(operation: &Operation) -> Outcome {
    let outcomes = operation.webhooks.iter().map(|status| match &status.state {
        WebhookState::Settled(outcome) => outcome.clone(),
        state => panic!("concluded while a webhook is {state:?}"),
    });
    let mut failures = outcomes.filter(|outcome| *outcome != Outcome::Succeeded);
    failures.next().unwrap_or(Outcome::Succeeded)
}

/// The operation after `event`, having checked what the event changed.
fn happened(before: &Operation, event: &Event, now: i64) -> Operation {
    let mut after = before.clone();
    let Recorded::Changed { ended, rows } = after.record(event.clone(), at(now)) else {
        panic!("{event:?} is not stale in {before:?}");
    };
    let has_ended = changes_are_right(before, &after, &rows);
    assert_eq!(u32::from(ended.is_some()), has_ended);
    let mut again = after.clone();
    assert_eq!(
        again.record(event.clone(), at(now)),
        Recorded::Stale,
        "a repeat"
    );
    assert_eq!(again, after, "a repeat changes nothing");
    after
}

fn taken_over(before: &Operation, now: i64) -> Operation {
    let mut after = before.clone();
    let rows = after.take_over(at(now));
    let of_runs = rows
        .iter()
        .filter(|row| row.result == AttemptResult::InProgress);
    let unknown = rows
        .iter()
        .filter(|row| row.result == AttemptResult::Unknown);
    assert_eq!(of_runs.count() + unknown.clone().count(), rows.len());
    let has_ended = changes_are_right(before, &after, &rows);
    assert_eq!(unknown.count(), has_ended as usize);
    after
}

fn is_sent(status: &WebhookStatus) -> bool {
    matches!(status.state, WebhookState::Sent { .. })
}

/// The attempts that have ended.
fn ended(status: &WebhookStatus) -> u32 {
    status.attempts() - u32::from(is_sent(status))
}

/// Those that stored rows of the ledger stand for.
fn written(status: &WebhookStatus) -> u32 {
    status.run.map_or(ended(status), |run| run.first)
}

/// How many attempts have ended.
fn changes_are_right(before: &Operation, after: &Operation, rows: &[Attempt]) -> u32 {
    assert_eq!((before.version, before.epoch), (after.version, after.epoch));
    let mut explained = 0;
    let mut has_ended = 0;
    for (old, new) in before.webhooks.iter().zip(&after.webhooks) {
        assert!(
            old.deadline.is_none() || old.deadline == new.deadline,
            "a deadline moved"
        );
        assert!(
            old.poll_url.is_none() || old.poll_url == new.poll_url,
            "a location changed"
        );
        if let WebhookState::Settled(_) = old.state {
            assert_eq!(old, new, "what has settled stays so");
        }
        let started = new.attempts() - old.attempts();
        let ends = ended(new) - ended(old);
        assert!(started <= 1 && ends <= 1);
        has_ended += ends;
        let mut last = written(old);
        for row in rows.iter().filter(|row| row.webhook_id == new.webhook_id) {
            if row.count > 1 {
                let run = old.run.map(|run| run.first);
                assert_eq!(run, Some(row.number), "the row of the run that is over");
            } else {
                assert_eq!(row.number, last + 1, "no gap");
            }
            last = row.number + row.count - 1;
            explained += 1;
        }
        assert_eq!(last, written(new), "what has ended has a row");
        assert_eq!(last_in_ledger(new), ended(new));
    }
    assert_eq!(rows.len(), explained);
    has_ended
}

/// The last attempt that a reader of the ledger finds.
fn last_in_ledger(status: &WebhookStatus) -> u32 {
    let Some(run) = status.run else {
        return written(status);
    };
    let mut ledger = [Attempt {
        webhook_id: status.webhook_id,
        number: run.first,
        count: 1,
        kind: AttemptKind::Poll,
        result: AttemptResult::InProgress,
        exchange: exchange(),
        error: String::new(),
        next_attempt_at: None,
    }];
    bring_up_to_date(&mut ledger, std::slice::from_ref(status));
    let [row] = ledger;
    if let WebhookState::Waiting { from } = status.state
        && row.count > 1
    {
        assert_eq!(row.next_attempt_at, Some(from));
    }
    row.number + row.count - 1
}

/// Reports about other attempts, losses of what is not under way, and everything after the end.
fn nothing_late_counts(operation: &Operation, now: i64) {
    let mut late = Vec::new();
    for (index, status) in operation.webhooks.iter().enumerate() {
        let current = status.attempts();
        let under_way = is_sent(status) && operation.phase == Phase::Running;
        for attempt in [current.wrapping_sub(1), current, current + 1] {
            if attempt != current || !under_way {
                late.extend(verdicts().map(|verdict| report(index, attempt, verdict)));
            }
        }
        if !under_way {
            late.push(Event::Lost { webhook: index });
        }
        let until = at(now + LOST_AFTER);
        if !matches!(status.state, WebhookState::Waiting { .. }) {
            late.push(Event::Sent {
                webhook: index,
                until,
            });
        }
    }
    late.push(report(operation.webhooks.len(), 1, Verdict::Succeeded));
    if operation.phase != Phase::Running {
        late.push(Event::Concluded(Outcome::Succeeded));
        late.push(Event::Expired { webhook: 0 });
    }
    if !matches!(operation.phase, Phase::Concluded(_)) {
        late.push(Event::Finalized(Outcome::Succeeded));
    }
    let mut after = operation.clone();
    for event in late {
        let recorded = after.record(event, at(now));
        assert_eq!(recorded, Recorded::Stale);
    }
    assert_eq!(after, *operation, "what is stale changes nothing");
}

/// Left alone with nobody who answers, it comes to rest by its last deadline, and stays there.
fn rests_in_the_end(mut operation: Operation, mut now: i64) {
    let longest = operation
        .spec
        .webhooks
        .iter()
        .filter_map(|w| w.timeout)
        .max();
    let latest = now + i64::from(longest.unwrap_or_default()) + LOST_AFTER;
    let outcome = operation.outcome().cloned();
    for _ in 0..1000 {
        if let Some(event) = event_of(&operation, now) {
            operation = happened(&operation, &event, now);
            continue;
        }
        match operation.next(at(now)) {
            Step::SleepUntil(time) => now = (time - at(0)).num_seconds(),
            step => {
                assert_eq!(step, Step::Rest);
                break;
            }
        }
    }
    assert!(now <= latest, "it took until {now}, not {latest}");
    assert!(matches!(operation.phase, Phase::Done(_)));
    assert!(outcome.is_none_or(|outcome| operation.outcome() == Some(&outcome)));
    let century = at(now) + TimeDelta::days(36_500);
    assert_eq!(operation.next(century), Step::Rest);
}

#[test]
fn every_history_without_webhooks_comes_to_rest() {
    assert_eq!(explore(&[], 0), 9, "three phases in three seconds");
}

#[test]
fn every_history_with_one_webhook_comes_to_rest() {
    assert!(explore(&[0], 1) > 1);
    assert!(explore(&[3], 5) > 1000);
}

#[test]
fn every_history_with_two_webhooks_comes_to_rest() {
    assert!(explore(&[1, 1], 2) > 1000);
}

#[test]
fn every_history_with_three_webhooks_comes_to_rest() {
    assert!(explore(&[1, 1, 1], 1) > 1000);
}
