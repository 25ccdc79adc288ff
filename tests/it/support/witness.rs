//! The four witnesses of an operation, and whether they agree: what the client was told, what the scheduler recorded,
//! what the external system received, and the resource's row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use binnacle_proto::common::v1::{Attempt, AttemptKind, AttemptResult, Operation, Phase};
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_proto::scheduler::v1::{ListAttemptsRequest, ListOperationsRequest};
use binnacle_proto::time_from;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use super::{Accepted, External, Gateway, Mesh, PATIENCE, Received};

/// How an operation has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It succeeds, and the application is removed.
    Removed,
    /// It succeeds, and the application is as new.
    Initial,
    /// It succeeds, and the application is made.
    Created,
    /// It fails with this text, and the application carries it and this status condition.
    Failed {
        error: &'static str,
        condition: &'static str,
    },
}

/// An operation that somebody was promised.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    pub(crate) accepted: Accepted,
    pub(crate) end: End,
}

/// What the scheduler knows of a resource's operations, each with its ledger.
pub(crate) async fn recorded(
    scheduler: &SchedulerServiceClient<Channel>,
    resource: &str,
) -> Vec<(Operation, Vec<Attempt>)> {
    let mut scheduler = scheduler.clone();
    let request = ListOperationsRequest {
        page_size: 1000,
        resource_id: resource.to_owned(),
        ..ListOperationsRequest::default()
    };
    let answer = scheduler.list_operations(request).await.unwrap();
    let mut operations = Vec::new();
    for operation in answer.into_inner().operations {
        let operation_id = operation.spec.as_ref().unwrap().operation_id.clone();
        let request = ListAttemptsRequest { operation_id };
        let attempts = scheduler.list_attempts(request).await.unwrap();
        operations.push((operation, attempts.into_inner().attempts));
    }
    operations
}

/// Waits for the end of every promise, and has the witnesses agree on it.
pub(crate) async fn reconcile(mesh: &Mesh, external: &External, promises: &[Promise]) {
    let gateway = mesh.gateway();
    let watched = promises.iter().map(|promise| told(&gateway, promise));
    futures::future::join_all(watched).await;
    let scheduler = mesh.scheduler();
    for promise in promises {
        let (operation, attempts) = ended(&scheduler, promise).await;
        judge_record(promise, &operation);
        judge_ledger(promise, &operation, &attempts);
        judge_calls(promise, &operation, &attempts, external);
    }
    for promise in promises {
        judge_row(&gateway, promise).await;
    }
}

/// Waits for the end of a promise, and has all witnesses agree on it but for the calls: for a scheduler that has
/// lost a part of its ledger.
pub(crate) async fn judge_end(mesh: &Mesh, promise: &Promise) {
    let gateway = mesh.gateway();
    told(&gateway, promise).await;
    let (operation, _) = ended(&mesh.scheduler(), promise).await;
    judge_record(promise, &operation);
}

/// The operation and its ledger once the scheduler knows of the end, a moment after the registry.
async fn ended(
    scheduler: &SchedulerServiceClient<Channel>,
    promise: &Promise,
) -> (Operation, Vec<Attempt>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let operations = recorded(scheduler, &promise.accepted.application).await;
        let found = operations.iter().find(|(operation, _)| {
            operation.spec.as_ref().unwrap().operation_id == promise.accepted.operation
        });
        if let Some(found) = found.filter(|(operation, _)| is_done(operation)) {
            return found.clone();
        }
        assert!(
            Instant::now() < end,
            "the scheduler knows of no end of {promise:?}: {operations:#?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

fn is_done(operation: &Operation) -> bool {
    let phase = operation.status.as_ref().unwrap().phase();
    matches!(phase, Phase::Succeeded | Phase::Failed)
}

/// First witness: both poll URLs tell the same end.
async fn told(gateway: &Gateway, promise: &Promise) {
    let Promise { accepted, end } = promise;
    let own = gateway.end_of(&accepted.own_location()).await;
    let path = format!("/last_operation/application/{}", accepted.application);
    let last = gateway.end_of(&path).await;
    match end {
        End::Failed { error, .. } => {
            assert_eq!(own["status"], "FAILED", "{promise:?}: {own}");
            assert_eq!(own["error"], *error, "{promise:?}: {own}");
            assert_eq!(last["status"], "FAILED", "{promise:?}: {last}");
            let carried: Value = serde_json::from_str(last["error"].as_str().unwrap()).unwrap();
            assert_eq!(carried, json!({"error": error}), "{promise:?}: {last}");
        }
        End::Removed | End::Initial | End::Created => {
            assert_eq!(own["status"], "SUCCEEDED", "{promise:?}: {own}");
            assert_eq!(last["status"], "SUCCEEDED", "{promise:?}: {last}");
            assert_eq!(last.get("error"), None, "{promise:?}: {last}");
        }
    }
}

/// Second witness: the operation's row.
fn judge_record(promise: &Promise, operation: &Operation) {
    let status = operation.status.as_ref().unwrap();
    let outcome = status.outcome.as_ref().unwrap();
    let expected = match promise.end {
        End::Failed { error, .. } => (Phase::Failed, false, error),
        End::Removed | End::Initial | End::Created => (Phase::Succeeded, true, ""),
    };
    let found = (status.phase(), outcome.succeeded, outcome.error.as_str());
    assert_eq!(found, expected, "{promise:?}: {status:?}");
    assert!(status.done_time.is_some(), "{promise:?}");
}

/// Second witness: the attempts of each webhook are numbered without gaps and add up to what the status says.
fn judge_ledger(promise: &Promise, operation: &Operation, attempts: &[Attempt]) {
    let status = operation.status.as_ref().unwrap();
    for webhook in &status.webhooks {
        let mut next = 1;
        let (mut calls, mut polls) = (0, 0);
        for attempt in attempts
            .iter()
            .filter(|a| a.webhook_id == webhook.webhook_id)
        {
            assert_eq!(attempt.number, next, "{promise:?}: a gap in {attempts:#?}");
            next += attempt.count;
            match attempt.kind() {
                AttemptKind::Call => calls += attempt.count,
                AttemptKind::Poll => polls += attempt.count,
                AttemptKind::Unspecified => panic!("{attempt:?}"),
            }
        }
        assert_eq!(
            (calls, polls),
            (webhook.calls, webhook.polls),
            "{promise:?}: {webhook:?}\n{attempts:#?}"
        );
    }
}

/// Third witness: repeats carry the same key and body, no call was made that the ledger does not tell, none that it
/// tells as answered is missing, and none came after the end.
fn judge_calls(
    promise: &Promise,
    operation: &Operation,
    attempts: &[Attempt],
    external: &External,
) {
    let status = operation.status.as_ref().unwrap();
    let done = time_from("done_time", status.done_time).unwrap();
    let received = external.received("/");
    for webhook in &status.webhooks {
        let key = format!("{}:{}", promise.accepted.operation, webhook.webhook_id);
        let received: Vec<&Received> = received.iter().filter(|r| r.key() == key).collect();
        let bodies: BTreeMap<&str, BTreeSet<&str>> =
            received
                .iter()
                .fold(BTreeMap::new(), |mut bodies, request| {
                    let of_path: &mut BTreeSet<_> = bodies.entry(&request.path).or_default();
                    of_path.insert(&request.body);
                    bodies
                });
        let differing = bodies.iter().find(|(_, bodies)| bodies.len() > 1);
        assert_eq!(differing, None, "{promise:?}: a repeat with another body");
        let rows: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.webhook_id == webhook.webhook_id)
            .collect();
        let made = rows.iter().map(|attempt| attempt.count).sum::<u32>() as usize;
        let answered = rows
            .iter()
            .filter(|attempt| attempt.status_code != 0)
            .map(|attempt| attempt.count)
            .sum::<u32>() as usize;
        assert!(
            (answered..=made).contains(&received.len()),
            "{promise:?}: {answered} answered and {made} made by the ledger, {} received\n{rows:#?}",
            received.len()
        );
        if let Some(late) = received.iter().find(|request| request.at > done) {
            panic!("{promise:?}: called after the end at {done}: {late:?}\n{rows:#?}");
        }
        judge_sequence(promise, &rows);
    }
}

/// Once a call was accepted it is never made again, and nothing follows an end.
fn judge_sequence(promise: &Promise, rows: &[&Attempt]) {
    let mut is_accepted = false;
    for (index, row) in rows.iter().enumerate() {
        let is_call = row.kind() == AttemptKind::Call;
        assert!(
            !(is_accepted && is_call),
            "{promise:?}: called again\n{rows:#?}"
        );
        is_accepted |= row.result() == AttemptResult::Accepted;
        let is_final = matches!(
            row.result(),
            AttemptResult::Succeeded | AttemptResult::Failed
        );
        assert!(
            !is_final || index + 1 == rows.len(),
            "{promise:?}: tried after the end\n{rows:#?}"
        );
    }
}

/// Fourth witness: the resource, which is no longer locked.
async fn judge_row(gateway: &Gateway, promise: &Promise) {
    let id = &promise.accepted.application;
    let row = gateway.application(id).await;
    let condition = match &promise.end {
        End::Removed => {
            assert_eq!(row, Value::Null, "{promise:?}");
            return;
        }
        End::Initial => "INITIAL",
        End::Created => "CREATE_SUCCEEDED",
        End::Failed { condition, .. } => condition,
    };
    assert_eq!(row["status"]["condition"], *condition, "{promise:?}: {row}");
    gateway
        .ask(
            "mutation ($id: ID!) { result: unregisterApplication(id: $id) { id } }",
            json!({"id": id}),
        )
        .await;
}
