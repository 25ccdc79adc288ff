//! What the worker does when something breaks.

use std::time::Duration;

use binnacle_proto::common::v1::{AttemptResult, Outcome, WebhookState};
use binnacle_proto::director::v1::{FinalizationResult, FinalizationState};
use tonic::Status;

use crate::peers::{EPOCH, LEASE, Mesh, Work, after, answer, id, operation, webhook};

/// Brings an operation without webhooks to where the registry is asked.
async fn conclude(work: &mut Work) -> String {
    let operation = operation(Vec::new());
    work.grant(&operation, false).await;
    work.report().await;
    work.saved(&id(&operation), 6, true).await;
    id(&operation)
}

#[tokio::test]
async fn a_refused_save_drops_the_operation_and_gives_up_its_calls() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook(), webhook()]);
    work.grant(&operation, false).await;
    let [first, second] = [execute.call().await, execute.call().await];
    execute.report(&first, AttemptResult::Retried).await;
    work.report().await;
    work.saved(&id(&operation), 0, false).await;
    assert_eq!(execute.abort().await, id(&operation));
    let release = work.release().await;
    assert_eq!(
        (release.operation_id, release.epoch),
        (id(&operation), EPOCH)
    );

    // What its calls report is nobody's business any more.
    execute.report(&second, AttemptResult::Succeeded).await;
    conclude(&mut work).await;
    work.done().await;
    assert!(work.nothing_but_heartbeats());
}

#[tokio::test]
async fn calls_of_a_lost_executor_are_saved_as_unknown_before_they_are_made_again() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    assert_eq!(execute.call().await.attempt, 1);
    drop(execute);
    let mut execute = mesh.execute().await;
    let report = work.report().await;
    assert_eq!(report.attempts[0].result(), AttemptResult::Unknown);
    assert_eq!(report.webhooks[0].state(), WebhookState::Waiting);
    work.saved(&id(&operation), 6, true).await;
    assert_eq!(execute.call().await.attempt, 2);
}

#[tokio::test]
async fn what_an_ended_session_may_have_sent_is_saved_as_unknown_before_it_is_sent_again() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, true).await;
    let report = work.report().await;
    assert_eq!(report.attempts[0].result(), AttemptResult::Unknown);
    work.saved(&id(&operation), 6, true).await;
    assert_eq!(execute.call().await.attempt, 2);
}

#[tokio::test]
async fn the_registry_is_asked_until_it_answers() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    mesh.registry.will_say(Err(Status::unavailable("away")));
    mesh.registry.will_say(Ok(answer(FinalizationState::Retry)));
    let operation_id = conclude(&mut work).await;
    assert_eq!(work.done().await.outcome, None);
    assert_eq!(mesh.registry.asked(), vec![operation_id; 3]);
}

#[tokio::test]
async fn the_outcome_of_a_resource_that_is_gone_is_the_registrys() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let outcome = Outcome {
        succeeded: false,
        error: "Application not found in director".to_owned(),
        detail: String::new(),
    };
    mesh.registry.will_say(Ok(FinalizationResult {
        outcome: Some(outcome.clone()),
        ..answer(FinalizationState::ResourceGone)
    }));
    conclude(&mut work).await;
    assert_eq!(work.done().await.outcome, Some(outcome));
}

#[tokio::test]
async fn an_operation_that_the_registry_does_not_know_keeps_its_outcome_and_raises_an_alarm() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    mesh.registry
        .will_say(Ok(answer(FinalizationState::Unknown)));
    conclude(&mut work).await;
    assert_eq!(work.done().await.outcome, None);
    let counted = mesh.context.metrics.gather();
    let family = counted
        .iter()
        .find(|family| family.name() == "operations_svc_finalizations_total");
    let unknown = family.unwrap().get_metric().iter().find(|metric| {
        let labels = metric.get_label();
        labels.iter().any(|label| label.value() == "unknown")
    });
    assert!((unknown.unwrap().get_counter().get_value() - 1.0).abs() < f64::EPSILON);
}

#[tokio::test]
async fn a_save_that_was_not_answered_is_sent_again_when_the_scheduler_is_back() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    let call = execute.call().await;
    execute.report(&call, AttemptResult::Retried).await;
    let before = work.report().await;
    drop(work);

    let mut work = mesh.work(LEASE).await;
    assert_eq!(work.hello.held_operation_ids, [id(&operation)]);
    assert_eq!(work.report().await, before);
    work.saved(&id(&operation), 6, true).await;
    assert_eq!(execute.call().await.attempt, 2);
}

#[tokio::test]
async fn a_save_goes_to_another_scheduler_when_its_own_is_gone() {
    let mut mesh = Mesh::with_schedulers(2).await;
    let granting = mesh.work(LEASE).await;
    let mut other = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    granting.grant(&operation, false).await;
    let call = execute.call().await;
    drop(granting);
    // Its next stream says that the worker has noticed the end of the first.
    let back = mesh.work(LEASE).await;
    assert_eq!(back.hello.held_operation_ids, [id(&operation)]);
    execute.report(&call, AttemptResult::Retried).await;
    assert_eq!(other.report().await.version, 5);
    other.saved(&id(&operation), 6, true).await;
    assert_eq!(execute.call().await.attempt, 2);
}

#[tokio::test]
async fn the_other_schedulers_are_told_what_is_held_when_one_is_gone() {
    let mut mesh = Mesh::with_schedulers(2).await;
    let mut work = mesh.work(Duration::from_millis(600)).await;
    let other = mesh.work(Duration::from_millis(600)).await;
    let _execute = mesh.execute().await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    while work.heartbeat().await.is_some() {}
    drop(other);
    // Every twelfth says so anyway.
    let mut told = None;
    for _ in 0..8 {
        told = told.or(work.heartbeat().await);
    }
    assert_eq!(told.unwrap().operation_ids, [id(&operation)]);
}

#[tokio::test]
async fn a_done_that_was_not_answered_is_said_again() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let operation_id = conclude(&mut work).await;
    let before = work.done().await;
    drop(work);
    let mut work = mesh.work(LEASE).await;
    assert_eq!(work.hello.held_operation_ids, [operation_id]);
    assert_eq!(work.done().await, before);
}

#[tokio::test]
async fn a_session_that_is_not_renewed_gives_up_its_calls_and_makes_no_more() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(Duration::from_secs(1)).await;
    work.renews = false;
    let mut execute = mesh.execute().await;
    let calling = operation(vec![webhook()]);
    work.grant(&calling, false).await;
    execute.call().await;
    assert_eq!(execute.abort().await, id(&calling));
    let report = work.report().await;
    assert_eq!(report.attempts[0].result(), AttemptResult::Unknown);

    // Saved all the same: nobody else was granted it. But without a session it is not called again.
    work.saved(&id(&calling), 6, true).await;
    assert_eq!(work.release().await.operation_id, id(&calling));
}

#[tokio::test]
async fn what_waits_when_the_session_ends_is_not_acted_upon_afterwards() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(Duration::from_millis(700)).await;
    work.renews = false;
    let mut execute = mesh.execute().await;
    let mut patient = webhook();
    patient.retry_interval = Some(5);
    let waiting = operation(vec![patient]);
    work.grant(&waiting, false).await;
    let call = execute.call().await;
    execute.report(&call, AttemptResult::Retried).await;
    work.report().await;
    work.saved(&id(&waiting), 6, true).await;
    assert_eq!(work.release().await.operation_id, id(&waiting));
}

#[tokio::test]
async fn without_an_executor_a_lease_is_given_back() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let operation = operation(vec![webhook()]);
    work.grant(&operation, false).await;
    let release = work.release().await;
    assert_eq!(
        (release.operation_id, release.epoch),
        (id(&operation), EPOCH)
    );
}

#[tokio::test]
async fn a_newer_grant_replaces_the_one_that_is_held() {
    let mut mesh = Mesh::start().await;
    let mut work = mesh.work(LEASE).await;
    let mut execute = mesh.execute().await;
    let held = operation(vec![webhook()]);
    work.grant(&held, false).await;
    let call = execute.call().await;
    let mut newer = held.clone();
    newer.epoch = EPOCH + 1;
    work.grant(&newer, true).await;
    assert_eq!(execute.abort().await, id(&held));
    let report = work.report().await;
    assert_eq!(report.epoch, EPOCH + 1);
    assert_eq!(report.attempts[0].result(), AttemptResult::Unknown);
    let saved = after(&newer, &report);
    assert_eq!(saved.webhooks[0].calls, 1);
    execute.report(&call, AttemptResult::Succeeded).await;
    conclude(&mut work).await;
    assert!(
        work.nothing_but_heartbeats(),
        "the old call counts for nothing"
    );
}
