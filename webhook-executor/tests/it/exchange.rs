//! One exchange: what is sent, and what may be told of it.

use binnacle_proto::common::v1::AttemptResult;
use serde_json::json;

use crate::target::Target;
use crate::worker::{Executor, OPERATION, WEBHOOK, call};

#[tokio::test]
async fn every_repeat_carries_the_same_key_and_body() {
    let target = Target::start(vec![json!({"status": 503}), json!({"status": 200})]).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    for (attempt, result) in [(1, AttemptResult::Retried), (2, AttemptResult::Succeeded)] {
        let mut call = call(&target.url("/hook"));
        call.attempt = attempt;
        let report = worker.exchange(call).await;
        assert_eq!((report.attempt, report.result()), (attempt, result));
    }
    let [first, second] = target.arrived().try_into().unwrap();
    assert_eq!(first, second);
    let key = format!("{OPERATION}:{WEBHOOK}");
    assert_eq!(first.header("idempotency-key"), Some(key.as_str()));
    assert_eq!(first.header("x-request-id"), Some("correlation"));
    assert_eq!(first.body, "{}");
}

#[tokio::test]
async fn the_trace_goes_on_in_the_external_system() {
    let target = Target::start(vec![json!({})]).await;
    let executor = Executor::start().await;
    let mut call = call(&target.url("/hook"));
    call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    executor.worker().await.exchange(call.clone()).await;
    let sent = target.arrived();
    assert_eq!(
        sent[0].header("traceparent"),
        Some(call.traceparent.as_str())
    );
}

#[tokio::test]
async fn redirects_are_answers_like_any_other() {
    let elsewhere = Target::start(vec![json!({"status": 200})]).await;
    let answer = json!({"status": 307, "headers": [["Location", elsewhere.url("/secret")]]});
    let target = Target::start(vec![answer]).await;
    let executor = Executor::start().await;
    let report = executor
        .worker()
        .await
        .exchange(call(&target.url("/hook")))
        .await;
    assert_eq!(
        (report.result(), report.status_code),
        (AttemptResult::Retried, 307)
    );
    assert_eq!(elsewhere.arrived(), []);
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let body = json!([["x", 3 << 20]]);
    let answers = [
        json!({"body_parts": body, "no_length": true}),
        json!({"body_parts": body, "gzip": true}),
        json!({"body_parts": body, "chunked": true}),
    ];
    let target = Target::start(answers.to_vec()).await;
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    for attempt in 1..=3 {
        let mut call = call(&target.url("/hook"));
        call.attempt = attempt;
        let report = worker.exchange(call).await;
        assert_eq!(report.result(), AttemptResult::Retried);
        assert!(report.error.contains("longer than"), "{}", report.error);
    }
}

#[tokio::test]
async fn secrets_are_not_told() {
    let answer = json!({
        "status": 500,
        "body": r#"{"error":"no","password":"hunter2","echo":"dTpwLXNlY3JldA"}"#,
    });
    let target = Target::start(vec![answer]).await;
    let executor = Executor::start().await;
    let mut call = call(&format!(
        "http://me:p-secret@{}/hook?api_key=key-1234&x=1",
        target.address
    ));
    let webhook = call.webhook.as_mut().unwrap();
    webhook.header_template = Some(r#"{"X-Token":["dTpwLXNlY3JldA"]}"#.to_owned());
    let report = executor.worker().await.exchange(call).await;
    let shown = format!("POST http://{}/hook?api_key=***&x=1", target.address);
    assert_eq!(report.request, shown);
    assert_eq!(
        report.response,
        r#"{"echo":"***","error":"no","password":"***"}"#
    );
    assert_eq!(
        target.arrived()[0].header("x-token"),
        Some("dTpwLXNlY3JldA")
    );
}

#[tokio::test]
async fn a_template_that_fails_is_final_and_nothing_is_sent() {
    let target = Target::start(Vec::new()).await;
    let executor = Executor::start().await;
    let mut call = call(&target.url("/hook"));
    call.webhook.as_mut().unwrap().input_template = Some("{{.Application.Nothing}}".to_owned());
    let report = executor.worker().await.exchange(call).await;
    assert_eq!(report.result(), AttemptResult::Failed);
    assert!(
        report
            .error
            .starts_with("unable to parse webhook input body")
    );
    assert_eq!(target.arrived(), []);
}

#[tokio::test]
async fn a_call_that_cannot_be_read_is_reported_as_failed() {
    let executor = Executor::start().await;
    let mut worker = executor.worker().await;
    let mut broken = call("http://127.0.0.1:1/");
    broken.request_object = "{".to_owned();
    let report = worker.exchange(broken).await;
    assert_eq!(report.result(), AttemptResult::Failed);
    assert!(report.error.contains("request_object"), "{}", report.error);
}

#[tokio::test]
async fn a_location_that_cannot_be_kept_is_an_error() {
    for location in ["x".repeat(9000), "\0".to_owned()] {
        location_is_refused(format!("http://h/{location}")).await;
    }
}

async fn location_is_refused(location: String) {
    let body = json!({ "location": location }).to_string();
    let target = Target::start(vec![json!({"status": 202, "body": body})]).await;
    let executor = Executor::start().await;
    let mut call = call(&target.url("/hook"));
    let webhook = call.webhook.as_mut().unwrap();
    webhook.mode = binnacle_proto::common::v1::WebhookMode::Async.into();
    webhook.output_template = Some(
        r#"{"location":"{{.Body.location}}","success_status_code":202,"error":""}"#.to_owned(),
    );
    let report = executor.worker().await.exchange(call).await;
    assert_eq!(
        report.result(),
        AttemptResult::Retried,
        "{:?}",
        report.poll_url
    );
    assert_eq!(report.poll_url, "", "{location:?}");
}
