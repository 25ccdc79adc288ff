//! What is written for an operation, counted.

use binnacle_proto::scheduler::v1::{GetOperationRequest, OperationView, WatchOperationsRequest};
use serde_json::json;

use crate::support::{Accepted, Answer, External, Mesh, PATIENCE, Storage, on_both_databases};

const UNREGISTER: &str = "UNREGISTER_APPLICATION";
const POLLS: u8 = 3;

on_both_databases!(an_operation_is_written_once_for_each_poll_that_is_not_the_last,);

/// How often the operation was written.
async fn writes(mesh: &Mesh, accepted: &Accepted) -> u64 {
    let request = GetOperationRequest {
        operation_id: accepted.operation.clone(),
    };
    let answer = mesh.scheduler().get_operation(request).await.unwrap();
    let operation = answer.into_inner().operation.unwrap();
    operation.status.unwrap().version
}

async fn an_operation_is_written_once_for_each_poll_that_is_not_the_last(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/jobs/*", [Answer::accepted()]);
    let mut accepted = Vec::new();
    for (name, polls) in [("done at once", 0), ("polled", POLLS)] {
        let webhook = external.asynchronous(UNREGISTER, "/jobs");
        let application = gateway.register(name, json!([webhook])).await;
        let mut answers = vec![Answer::status("IN_PROGRESS"); polls.into()];
        answers.push(Answer::status("SUCCEEDED"));
        external.script(&format!("/jobs/{application}/status"), answers);
        accepted.push(gateway.start("unregisterApplication", &application).await);
    }
    let mut written = Vec::new();
    for accepted in &accepted {
        // Who has been told of the end may still be a moment ahead of the scheduler.
        gateway.end_of(&accepted.location).await;
        ended(&mesh, accepted).await;
        written.push(writes(&mesh, accepted).await);
    }
    let beyond = written[1] - written[0];
    assert!(beyond <= u64::from(POLLS), "{written:?}");
}

/// Waits until the scheduler says that the operation has ended.
async fn ended(mesh: &Mesh, accepted: &Accepted) {
    let request = WatchOperationsRequest {
        operation_id: accepted.operation.clone(),
        view: OperationView::Basic.into(),
    };
    let watch = mesh.scheduler().watch_operations(request).await.unwrap();
    let mut watch = watch.into_inner();
    let watching = async { while watch.message().await.unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, watching).await.unwrap();
}
