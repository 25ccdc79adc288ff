//! The operation machine, rule by rule.

use binnacle_domain::Time;
use binnacle_domain::operation::{
    Attempt, AttemptKind, AttemptResult, Event, Exchange, Operation, OperationId, OperationType,
    Outcome, Phase, Recorded, Report, Resource, Send, Spec, Step, UNPAIR_APPLICATION, Verdict,
    WebhookState, bring_up_to_date,
};
use binnacle_domain::retry;
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType};
use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

/// So many seconds after the beginning.
pub(crate) fn at(seconds: i64) -> Time {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

pub(crate) fn webhook(number: u128, retry_interval: u32, timeout: u32) -> Webhook {
    Webhook {
        id: Uuid::from_u128(number),
        kind: WebhookType::UnregisterApplication,
        mode: Some(WebhookMode::Async),
        url: Some("http://system.test/".to_owned()),
        url_template: None,
        input_template: None,
        header_template: None,
        output_template: None,
        status_template: None,
        correlation_id_key: None,
        retry_interval: Some(retry_interval),
        timeout: Some(timeout),
    }
}

pub(crate) fn operation(webhooks: Vec<Webhook>) -> Operation {
    let spec = Spec {
        id: OperationId(Uuid::from_u128(7)),
        operation_type: OperationType::Delete,
        category: "unregisterApplication".to_owned(),
        resource: Resource {
            kind: "application".to_owned(),
            id: Uuid::from_u128(8),
        },
        tenant: Uuid::from_u128(9),
        correlation_id: String::new(),
        webhooks,
        related_resources: Vec::new(),
        request_object: "{}".to_owned(),
        traceparent: String::new(),
        created_at: at(0),
    };
    Operation::new(spec, at(0))
}

pub(crate) fn exchange() -> Exchange {
    Exchange {
        started_at: at(0),
        ended_at: at(0),
        status_code: Some(200),
        request: "GET http://system.test/".to_owned(),
        response: "{}".to_owned(),
    }
}

pub(crate) fn report(webhook: usize, attempt: u32, verdict: Verdict) -> Event {
    Event::Reported {
        report: Report {
            webhook,
            attempt,
            verdict,
            exchange: exchange(),
        },
        not_before: None,
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn failed(error: &str, detail: &str) -> Outcome {
    Outcome::Failed {
        error: text(error),
        detail: text(detail),
    }
}

/// Starts the attempt that is due.
fn send(operation: &mut Operation, now: Time) -> Send {
    let Step::Send(send) = operation.next(now) else {
        panic!("nothing is due: {:?}", operation.next(now));
    };
    let until = now + TimeDelta::seconds(30);
    let webhook = send.webhook;
    let recorded = operation.record(Event::Sent { webhook, until }, now);
    assert_eq!(recorded, progress());
    send
}

/// A change that ends no attempt.
fn progress() -> Recorded {
    Recorded::Changed {
        ended: None,
        rows: Vec::new(),
    }
}

/// The rows of the ledger that a change makes.
fn rows_of(recorded: Recorded) -> Vec<Attempt> {
    let Recorded::Changed { rows, .. } = recorded else {
        panic!("nothing has changed");
    };
    rows
}

/// Has the attempt under way answered; the row of the ledger that it makes.
fn answered(operation: &mut Operation, now: Time, verdict: Verdict) -> Attempt {
    let attempt = operation.webhooks[0].attempts();
    let mut rows = rows_of(operation.record(report(0, attempt, verdict), now));
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

fn retry(reason: &str) -> Verdict {
    Verdict::Retry {
        reason: text(reason),
    }
}

fn accepted() -> Verdict {
    Verdict::Accepted {
        poll_url: text("http://system.test/status"),
    }
}

#[test]
fn an_operation_without_webhooks_succeeds_at_once() {
    let operation = operation(Vec::new());
    assert_eq!(operation.next(at(0)), Step::Conclude(Outcome::Succeeded));
}

#[test]
fn a_call_that_succeeds_settles_its_webhook() {
    let mut operation = operation(vec![webhook(1, 2, 60)]);
    let sent = send(&mut operation, at(0));
    assert_eq!((sent.number, sent.poll_url), (1, None));
    assert_eq!(sent.deadline, at(60));
    let row = answered(&mut operation, at(1), Verdict::Succeeded);
    assert_eq!((row.number, row.count, row.kind), (1, 1, AttemptKind::Call));
    assert_eq!(
        (row.result, row.next_attempt_at),
        (AttemptResult::Succeeded, None)
    );
    assert_eq!(operation.next(at(1)), Step::Conclude(Outcome::Succeeded));
}

#[test]
fn a_call_that_fails_is_tried_again_after_the_interval() {
    let mut operation = operation(vec![webhook(1, 2, 60)]);
    send(&mut operation, at(0));
    let row = answered(&mut operation, at(1), retry("busy"));
    assert_eq!(
        (row.result, row.error.as_str()),
        (AttemptResult::Retried, "busy")
    );
    assert_eq!(row.next_attempt_at, Some(at(3)));
    assert_eq!(operation.next(at(2)), Step::SleepUntil(at(3)));
    assert_eq!(send(&mut operation, at(3)).number, 2);
}

#[test]
fn a_webhook_that_is_given_up_carries_compass_text_and_the_last_reason() {
    let mut operation = operation(vec![webhook(1, 50, 60)]);
    send(&mut operation, at(0));
    answered(&mut operation, at(20), retry("busy"));
    assert_eq!(
        operation.next(at(21)),
        Step::SleepUntil(at(60)),
        "not until 70"
    );
    assert_eq!(operation.next(at(60)), Step::Expire { webhook: 0 });
    let expired = operation.record(Event::Expired { webhook: 0 }, at(60));
    assert_eq!(expired, progress());
    let outcome = failed("webhook timeout reached", "busy");
    assert_eq!(operation.next(at(60)), Step::Conclude(outcome));
}

#[test]
fn a_webhook_does_not_expire_before_its_deadline_or_while_a_call_is_under_way() {
    let mut operation = operation(vec![webhook(1, 1, 60)]);
    let expired = Event::Expired { webhook: 0 };
    assert_eq!(operation.record(expired.clone(), at(0)), Recorded::Stale);
    send(&mut operation, at(59));
    assert_eq!(operation.record(expired, at(300)), Recorded::Stale);
    answered(&mut operation, at(300), Verdict::Succeeded);
    assert_eq!(operation.next(at(300)), Step::Conclude(Outcome::Succeeded));
}

#[test]
fn a_timeout_of_zero_gives_up_without_a_call() {
    let operation = operation(vec![webhook(1, 1, 0)]);
    assert_eq!(operation.next(at(5)), Step::Expire { webhook: 0 });
}

#[test]
fn an_accepted_call_is_polled_at_once_and_then_at_the_interval() {
    let mut operation = operation(vec![webhook(1, 5, 60)]);
    send(&mut operation, at(0));
    let row = answered(&mut operation, at(1), accepted());
    assert_eq!(
        (row.kind, row.result),
        (AttemptKind::Call, AttemptResult::Accepted)
    );
    let poll = send(&mut operation, at(1));
    assert_eq!(poll.poll_url.as_deref(), Some("http://system.test/status"));
    assert_eq!(poll.number, 2);
    let row = answered(&mut operation, at(2), Verdict::InProgress);
    assert_eq!(
        (row.kind, row.result),
        (AttemptKind::Poll, AttemptResult::InProgress)
    );
    assert_eq!(operation.next(at(2)), Step::SleepUntil(at(7)));
    assert_eq!(operation.webhooks[0].last_poll_at, Some(at(1)));
}

/// An operation that was polled at 1, 2 and 3 seconds with the same answer, and the row that the first made.
fn in_progress_three_times() -> (Operation, Attempt) {
    let mut operation = operation(vec![webhook(1, 1, 60)]);
    send(&mut operation, at(0));
    answered(&mut operation, at(0), accepted());
    send(&mut operation, at(1));
    let row = answered(&mut operation, at(1), Verdict::InProgress);
    for second in 2..=3 {
        let attempt = send(&mut operation, at(second)).number;
        let again = reported_at(second, attempt, Verdict::InProgress);
        let silent = Recorded::Changed {
            ended: Some(AttemptResult::InProgress),
            rows: Vec::new(),
        };
        assert_eq!(operation.record(again, at(second)), silent);
    }
    (operation, row)
}

fn reported_at(second: i64, attempt: u32, verdict: Verdict) -> Event {
    let mut event = report(0, attempt, verdict);
    if let Event::Reported { report, .. } = &mut event {
        report.exchange.ended_at = at(second);
    }
    event
}

#[test]
fn polls_with_the_same_answer_in_progress_are_one_row() {
    let (operation, row) = in_progress_three_times();
    let mut ledger = [row];
    bring_up_to_date(&mut ledger, &operation.webhooks);
    let [row] = &ledger;
    assert_eq!((row.number, row.count), (2, 3));
    assert_eq!(row.exchange.ended_at, at(3));
    assert_eq!(row.next_attempt_at, Some(at(4)));
}

#[test]
fn the_row_of_a_run_is_written_again_when_the_run_is_over() {
    let ends: [fn(&mut Operation) -> Recorded; 4] = [
        |operation| {
            send(operation, at(5));
            let mut changed = reported_at(5, 5, Verdict::InProgress);
            if let Event::Reported { report, .. } = &mut changed {
                report.exchange.response = text("80 percent");
            }
            operation.record(changed, at(5))
        },
        |operation| {
            send(operation, at(5));
            operation.record(reported_at(5, 5, Verdict::Succeeded), at(5))
        },
        |operation| {
            send(operation, at(5));
            operation.record(Event::Lost { webhook: 0 }, at(35))
        },
        |operation| operation.record(Event::Expired { webhook: 0 }, at(60)),
    ];
    for (end, own) in ends.into_iter().zip([1, 1, 1, 0]) {
        let (mut operation, _) = in_progress_three_times();
        let rows = rows_of(end(&mut operation));
        let (run, others) = rows.split_first().unwrap();
        assert_eq!((run.number, run.count), (2, 3));
        assert_eq!(run.exchange.ended_at, at(3));
        let others: Vec<_> = others.iter().map(|row| (row.number, row.count)).collect();
        assert_eq!(others, vec![(5, 1); own]);
        let mut ledger = rows.clone();
        bring_up_to_date(&mut ledger, &operation.webhooks);
        assert_eq!(ledger, rows, "there is nothing to add");
    }
}

#[test]
fn a_polled_failure_is_final_and_keeps_its_words() {
    let mut operation = operation(vec![webhook(1, 1, 60)]);
    send(&mut operation, at(0));
    answered(&mut operation, at(0), accepted());
    send(&mut operation, at(0));
    let reason = text("disk full");
    answered(&mut operation, at(1), Verdict::Failed { reason });
    assert_eq!(
        operation.next(at(1)),
        Step::Conclude(failed("disk full", ""))
    );
}

#[test]
fn gone_is_a_success_where_there_is_nothing_left_to_remove() {
    let cases = [
        (OperationType::Delete, "unregisterApplication", true),
        (OperationType::Update, UNPAIR_APPLICATION, true),
        (OperationType::Update, "updateApplication", false),
        (OperationType::Create, "registerApplication", false),
    ];
    for (operation_type, category, succeeds) in cases {
        let mut operation = operation(vec![webhook(1, 1, 60)]);
        operation.spec.operation_type = operation_type;
        category.clone_into(&mut operation.spec.category);
        send(&mut operation, at(0));
        let reason = text("gone response status 404");
        let row = answered(&mut operation, at(0), Verdict::Gone { reason });
        assert_eq!(row.result, AttemptResult::Gone);
        let outcome = if succeeds {
            Outcome::Succeeded
        } else {
            failed("gone response status 404", "")
        };
        assert_eq!(operation.next(at(0)), Step::Conclude(outcome), "{category}");
    }
}

#[test]
fn an_attempt_that_is_not_reported_in_time_is_unknown_and_made_again() {
    let mut operation = operation(vec![webhook(1, 50, 60)]);
    send(&mut operation, at(0));
    assert_eq!(operation.next(at(29)), Step::SleepUntil(at(30)));
    assert_eq!(operation.next(at(30)), Step::Lost { webhook: 0 });
    let rows = rows_of(operation.record(Event::Lost { webhook: 0 }, at(30)));
    let rows: Vec<_> = rows.iter().map(|row| (row.number, row.result)).collect();
    assert_eq!(rows, [(1, AttemptResult::Unknown)]);
    assert_eq!(send(&mut operation, at(30)).number, 2, "at once");
}

#[test]
fn what_a_former_holder_may_have_sent_is_unknown() {
    let mut operation = operation(vec![
        webhook(1, 1, 60),
        webhook(2, 1, 60),
        webhook(3, 1, 60),
    ]);
    send(&mut operation, at(0));
    answered(&mut operation, at(0), Verdict::Succeeded);
    operation.webhooks[2].state = WebhookState::Waiting { from: at(50) };
    let rows = operation.take_over(at(20));
    assert_eq!(rows.len(), 1, "one is settled, one was not due");
    assert_eq!(rows[0].webhook_id, Uuid::from_u128(2));
    assert_eq!(
        (rows[0].number, rows[0].result),
        (1, AttemptResult::Unknown)
    );
    let again = send(&mut operation, at(20));
    assert_eq!((again.webhook, again.number), (1, 2));
}

#[test]
fn an_attempt_that_was_due_before_the_deadline_is_unknown_after_it() {
    let mut operation = operation(vec![webhook(1, 10, 60)]);
    send(&mut operation, at(0));
    answered(&mut operation, at(40), retry("busy"));
    assert_eq!(operation.take_over(at(70)).len(), 1, "it was due at 50");
    assert_eq!(operation.next(at(70)), Step::Expire { webhook: 0 });
    assert_eq!(operation.webhooks[0].attempts(), 2);
}

#[test]
fn the_first_failure_is_the_operations() {
    let mut operation = operation(vec![
        webhook(1, 1, 60),
        webhook(2, 1, 60),
        webhook(3, 1, 60),
    ]);
    for _ in 0..3 {
        send(&mut operation, at(0));
    }
    for (index, reason) in [(2, Some("third")), (1, Some("second")), (0, None)] {
        assert!(
            matches!(operation.next(at(1)), Step::SleepUntil(_)),
            "others are under way"
        );
        let verdict = reason.map_or(Verdict::Succeeded, |reason| Verdict::Failed {
            reason: text(reason),
        });
        operation.record(report(index, 1, verdict), at(1));
    }
    assert_eq!(operation.next(at(1)), Step::Conclude(failed("second", "")));
}

#[test]
fn an_outcome_is_finalized_and_then_there_is_rest() {
    let mut operation = operation(Vec::new());
    operation.record(Event::Concluded(Outcome::Succeeded), at(1));
    assert_eq!(operation.next(at(1)), Step::Finalize(Outcome::Succeeded));
    let gone = failed("Application not found in director", "");
    operation.record(Event::Finalized(gone.clone()), at(2));
    assert_eq!(operation.phase, Phase::Done(gone));
    assert_eq!(operation.done_at, Some(at(2)));
    assert_eq!(operation.next(at(9)), Step::Rest);
}

#[test]
fn intervals_and_timeouts_have_compass_defaults() {
    let seconds = |span: TimeDelta| span.num_seconds();
    let intervals = [None, Some(0), Some(7)].map(retry::interval);
    assert_eq!(intervals.map(seconds), [120, 1, 7]);
    let timeouts = [None, Some(0), Some(7)].map(retry::timeout);
    assert_eq!(timeouts.map(seconds), [7200, 0, 7]);
}

#[test]
fn a_retry_that_is_put_off_is_made_later_and_a_poll_is_not_put_off() {
    for (verdict, seconds) in [
        (Verdict::Retry { reason: text("no") }, 7),
        (Verdict::InProgress, 1),
    ] {
        let mut operation = operation(vec![webhook(1, 1, 60)]);
        send(&mut operation, at(0));
        let mut event = report(0, 1, verdict);
        if let Event::Reported { not_before, .. } = &mut event {
            *not_before = Some(at(7));
        }
        let rows = rows_of(operation.record(event, at(0)));
        let due: Vec<_> = rows.iter().map(|row| row.next_attempt_at).collect();
        assert_eq!(due, [Some(at(seconds))]);
        assert_eq!(operation.next(at(0)), Step::SleepUntil(at(seconds)));
    }
}

#[test]
fn a_retry_that_is_put_off_beyond_the_deadline_is_not_made() {
    let mut operation = operation(vec![webhook(1, 1, 5)]);
    send(&mut operation, at(0));
    let mut event = report(0, 1, Verdict::Retry { reason: text("no") });
    if let Event::Reported { not_before, .. } = &mut event {
        *not_before = Some(at(30));
    }
    operation.record(event, at(0));
    assert_eq!(operation.next(at(0)), Step::SleepUntil(at(5)));
    assert_eq!(operation.next(at(5)), Step::Expire { webhook: 0 });
}
