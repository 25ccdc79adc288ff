//! The way of an operation when nothing goes wrong.

use std::time::Duration;

use binnacle_proto::common::v1::{AttemptKind, AttemptResult, WebhookState};

use crate::peers::{EPOCH, LEASE, Mesh, id, operation, webhook};

#[tokio::test]
async fn an_operation_is_called_saved_finalized_and_done_in_this_order() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let [first, second] = [operation(vec![webhook()]), operation(vec![webhook()])];
    work.grant(&first, false).await;

    let call = execute.call().await;
    assert_eq!(call.operation_id, id(&first));
    assert_eq!((call.webhook_index, call.attempt), (0, 1));
    assert_eq!(call.correlation_id, "correlation");
    assert_eq!(call.traceparent, first.spec.traceparent);
    execute.report(&call, AttemptResult::Succeeded).await;

    let report = work.report().await;
    assert_eq!((report.epoch, report.version), (EPOCH, 5));
    assert!(report.concluded.unwrap().succeeded, "in the same frame");
    assert_eq!(report.attempts.len(), 1);
    assert_eq!(report.attempts[0].result(), AttemptResult::Succeeded);
    assert_eq!(report.webhooks[0].state(), WebhookState::Succeeded);

    // A whole turn of another operation passes, and the first has not moved: it is not saved yet.
    work.grant(&second, false).await;
    execute.call().await;
    assert_eq!(mesh.registry.asked(), Vec::<String>::new());

    work.saved(&id(&first), 6, true).await;
    let done = work.done().await;
    assert_eq!((done.operation_id, done.epoch), (id(&first), EPOCH));
    assert_eq!(done.outcome, None);
    assert_eq!(mesh.registry.asked(), [id(&first)]);
    work.saved(&id(&first), 7, true).await;
    mesh.stop_with(execute, work).await;
}

#[tokio::test]
async fn nothing_is_granted_before_the_worker_has_said_its_capacity() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let _execute = mesh.execute().await;
    let mut capacity = work.capacity().await;
    while capacity < 32 {
        capacity = work.capacity().await;
    }
    assert_eq!(capacity, 32);
}

#[tokio::test]
async fn an_operation_without_webhooks_is_concluded_at_once() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let operation = operation(Vec::new());
    work.grant(&operation, false).await;
    assert!(work.report().await.concluded.unwrap().succeeded);
    work.saved(&id(&operation), 6, true).await;
    work.done().await;
    work.saved(&id(&operation), 7, true).await;
}

#[tokio::test]
async fn an_accepted_call_is_polled_after_its_location_is_saved() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    let call = execute.call().await;
    execute.report(&call, AttemptResult::Accepted).await;

    let report = work.report().await;
    assert_eq!(report.webhooks[0].poll_url, "http://system.test/status");
    assert_eq!(report.concluded, None);
    assert_eq!(report.release_for, None, "it goes on at once");
    work.saved(&id(&operation), 6, true).await;

    let poll = execute.call().await;
    assert_eq!(
        (poll.poll_url.as_str(), poll.attempt),
        ("http://system.test/status", 2)
    );
    execute.report(&poll, AttemptResult::Succeeded).await;
    let report = work.report().await;
    assert_eq!(report.version, 6);
    assert_eq!(report.attempts[0].kind(), AttemptKind::Poll);
}

#[tokio::test]
async fn a_short_wait_keeps_its_lease() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    let call = execute.call().await;
    execute.report(&call, AttemptResult::Retried).await;
    let report = work.report().await;
    assert_eq!(report.release_for, None);
    assert_eq!(report.webhooks[0].last_error, "not today");
    work.saved(&id(&operation), 6, true).await;
    assert_eq!(execute.call().await.attempt, 2);
}

#[tokio::test]
async fn a_long_wait_gives_its_lease_back_with_the_save() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let mut slow = webhook();
    slow.retry_interval = Some(60);
    let operation = operation(vec![slow]);
    work.grant(&operation, false).await;
    let call = execute.call().await;
    execute.report(&call, AttemptResult::Retried).await;
    let release_for = work.report().await.release_for.unwrap();
    let release_for = Duration::try_from(release_for).unwrap();
    assert!(release_for <= Duration::from_mins(1) && release_for > Duration::from_secs(40));
}

#[tokio::test]
async fn retries_of_one_destination_follow_one_another() {
    const COUNT: usize = 20;
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    for _ in 0..COUNT {
        work.grant(&operation(vec![webhook()]), false).await;
    }
    let mut calls = Vec::with_capacity(COUNT);
    while calls.len() < COUNT {
        calls.push(execute.call().await);
    }
    for call in &calls {
        execute.report(call, AttemptResult::Retried).await;
    }
    let mut next = Vec::with_capacity(COUNT);
    while next.len() < COUNT {
        let attempts = work.report().await.attempts;
        let at = attempts[0].next_attempt_time.unwrap();
        next.push(Duration::new(
            at.seconds.unsigned_abs(),
            at.nanos.unsigned_abs(),
        ));
    }
    next.sort_unstable();
    let gaps = next.windows(2).map(|pair| pair[1].abs_diff(pair[0]));
    assert!(gaps.min() >= Some(Duration::from_millis(20)));
}

#[tokio::test]
async fn webhooks_of_an_operation_are_driven_side_by_side() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook(), webhook()]);
    work.grant(&operation, false).await;
    let [first, second] = [execute.call().await, execute.call().await];
    assert_eq!((first.webhook_index, second.webhook_index), (0, 1));
    execute.report(&second, AttemptResult::Failed).await;
    let report = work.report().await;
    assert_eq!(report.concluded, None, "the other has not settled");
    assert_eq!(report.webhooks[0].state(), WebhookState::Sent);
    work.saved(&id(&operation), 6, true).await;
    execute.report(&first, AttemptResult::Succeeded).await;
    let outcome = work.report().await.concluded.unwrap();
    assert_eq!(
        (outcome.succeeded, outcome.error.as_str()),
        (false, "not today")
    );
}

#[tokio::test]
async fn the_session_is_renewed_every_third_of_its_lease_and_executors_are_told() {
    let mut mesh = Mesh::start().await;
    let lease = Duration::from_millis(600);
    let mut work = mesh.work(lease).await;
    let mut execute = mesh.execute().await;
    for _ in 0..3 {
        work.heartbeat().await;
        assert!(execute.valid_for().await < lease);
    }
}

#[tokio::test]
async fn a_worker_is_ready_while_it_has_a_scheduler_and_an_executor() {
    let mut mesh = Mesh::start().await;
    let readiness = mesh.context.readiness.clone();
    readiness.wait_until_started().await;
    let checks = async || -> Vec<_> {
        let obstacles = readiness.obstacles().await;
        obstacles.iter().map(|obstacle| obstacle.check).collect()
    };
    assert_eq!(checks().await, ["schedulers", "executors"]);
    let mut work = mesh.work(LEASE).await;
    work.capacity().await;
    assert_eq!(checks().await, ["executors"]);
    let mut execute = mesh.execute().await;
    execute.valid_for().await;
    assert_eq!(checks().await, Vec::<&str>::new());
}

#[tokio::test]
async fn a_worker_that_stops_waits_for_its_calls_and_says_goodbye() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    let call = execute.call().await;
    mesh.context.shutdown.trigger();
    execute.report(&call, AttemptResult::Retried).await;
    work.report().await;
    work.saved(&id(&operation), 6, true).await;
    assert!(work.goodbye().await);
    drop((work, execute));
    mesh.stopped().await;
}
