//! The stream: what is given up and when, who waits for whom.

use std::time::Duration;

use binnacle_proto::common::v1::AttemptResult;
use binnacle_proto::executor::v1::ExecuteRequest;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;
use webhook_executor::Config;

use crate::target::Target;
use crate::worker::{Executor, OPERATION, call};

/// An answer that takes longer than any test.
fn never() -> serde_json::Value {
    json!({"status": 200, "delay_ms": 3_600_000})
}

fn of_operation(number: u32, url: &str) -> binnacle_proto::executor::v1::Call {
    let mut call = call(url);
    call.operation_id = format!("018f0000-0000-7000-8000-{number:012}");
    call
}

#[tokio::test]
async fn a_stream_begins_with_hello() {
    let executor = Executor::start().await;
    let frames = tokio_stream::iter([ExecuteRequest::default()]);
    let status = executor.client().await.execute(frames).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.get_details_error_info().unwrap().reason,
        "INVALID_ARGUMENT"
    );
}

#[tokio::test]
async fn an_aborted_exchange_ends_at_once_and_is_not_reported() {
    let target = Target::start(vec![never(), json!({})]).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    worker.call(vec![call(&target.url("/first"))]).await;
    target.wait_for(1).await;
    worker
        .say(ExecuteRequest {
            abort_operation_ids: vec![OPERATION.to_owned()],
            ..Default::default()
        })
        .await;
    target.wait_for_closed(1).await;
    let report = worker
        .exchange(of_operation(2, &target.url("/second")))
        .await;
    assert_eq!(report.operation_id, of_operation(2, "").operation_id);
}

#[tokio::test]
async fn a_repeated_call_is_one_exchange() {
    let target = Target::start(vec![json!({"delay_ms": 200}), json!({})]).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    let twice = vec![call(&target.url("/hook")), call(&target.url("/hook"))];
    worker.call(twice).await;
    assert_eq!(worker.report().await.result(), AttemptResult::Succeeded);
    worker
        .exchange(of_operation(2, &target.url("/other")))
        .await;
    assert_eq!(target.arrived().len(), 2);
}

#[tokio::test]
async fn a_broken_stream_gives_up_its_exchanges() {
    let target = Target::start(vec![never(), never()]).await;
    let executor = Executor::start().await;
    let worker = executor.worker().await;
    let calls = [1, 2].map(|number| of_operation(number, &target.url("/hook")));
    worker.call(calls.to_vec()).await;
    target.wait_for(2).await;
    drop(worker);
    target.wait_for_closed(2).await;
}

#[tokio::test]
async fn a_session_that_is_not_renewed_gives_up_its_exchanges() {
    let target = Target::start(vec![never(), json!({})]).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    worker
        .say(ExecuteRequest {
            calls: vec![call(&target.url("/hook"))],
            session_valid_for: prost_types::Duration::try_from(Duration::from_millis(300)).ok(),
            ..Default::default()
        })
        .await;
    target.wait_for_closed(1).await;
    let report = worker
        .exchange(of_operation(2, &target.url("/later")))
        .await;
    assert_eq!(report.operation_id, of_operation(2, "").operation_id);
}

#[tokio::test]
async fn an_exchange_is_reported_as_tried_when_its_time_is_over() {
    let target = Target::start(vec![never(), never()]).await;
    let executor = Executor::with(Config {
        capacity: 4,
        exchange_timeout: Duration::from_millis(300),
    })
    .await;
    let mut worker = executor.worker().await;
    let report = worker.exchange(call(&target.url("/hook"))).await;
    assert_eq!(report.result(), AttemptResult::Retried);
    assert!(
        report.error.contains("no answer within 0.3 s"),
        "{}",
        report.error
    );

    let mut short = call(&target.url("/hook"));
    short.attempt = 2;
    short.valid_for = prost_types::Duration::try_from(Duration::from_millis(100)).ok();
    let report = worker.exchange(short).await;
    assert!(
        report.error.contains("no answer within 0.1 s"),
        "{}",
        report.error
    );
}

#[tokio::test]
async fn a_stalled_system_does_not_hold_up_others() {
    let stalled = Target::start(vec![never(); 64]).await;
    let healthy = Target::start(vec![json!({})]).await;
    let executor = Executor::with(Config {
        capacity: 8,
        exchange_timeout: Duration::from_secs(10),
    })
    .await;
    let mut worker = executor.worker().await;
    let calls = (0..32).map(|number| of_operation(number, &stalled.url("/hook")));
    worker.call(calls.collect()).await;
    stalled.wait_for(2).await;
    let report = worker
        .exchange(of_operation(99, &healthy.url("/hook")))
        .await;
    assert_eq!(report.result(), AttemptResult::Succeeded);
    assert_eq!(stalled.arrived().len(), 2, "a quarter of the capacity");
}

#[tokio::test]
async fn an_executor_that_stops_takes_no_more_and_ends_what_it_has() {
    let target = Target::start(vec![json!({"delay_ms": 300})]).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    worker.call(vec![call(&target.url("/hook"))]).await;
    target.wait_for(1).await;
    executor.context.shutdown.trigger();
    assert_eq!(worker.capacity().await, 0);
    let reports = worker.end().await;
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].result(), AttemptResult::Succeeded);
    assert!(
        executor
            .context
            .shutdown
            .drain(Duration::from_secs(20))
            .await
    );
}
