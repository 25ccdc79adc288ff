//! What a client that polls sees, from the acceptance to the end. No scheduler is around: what the gateway knows
//! by itself has to do.

use std::time::{Duration, Instant};

use binnacle_domain::operation::{OperationId, Outcome};
use reqwest::StatusCode;
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use serde_json::{Value, json};

use crate::http::{Gateway, answer};
use crate::support::PUBLIC_URL;

const REGISTER: &str =
    "mutation($in: ApplicationRegisterInput!) { registerApplication(in: $in) { id } }";
const UNREGISTER: &str =
    "mutation($id: ID!) { unregisterApplication(id: $id, mode: ASYNC) { id } }";
const UNPAIR: &str = "mutation($id: ID!) { unpairApplication(id: $id, mode: ASYNC) { id } }";

struct Started {
    application: String,
    operation: String,
}

impl Started {
    fn id(&self) -> OperationId {
        OperationId(self.operation.parse().unwrap())
    }

    fn last(&self) -> String {
        format!("/last_operation/application/{}", self.application)
    }

    fn own(&self) -> String {
        format!("/operations/{}", self.operation)
    }
}

async fn start(gateway: &Gateway, mutation: &str) -> Started {
    let input = json!({"in": {"name": "polled"}});
    let registered = gateway.ask("test", REGISTER, input).await;
    let application = registered["data"]["registerApplication"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let accepted = gateway
        .ask("test", mutation, json!({"id": application}))
        .await;
    let started = &accepted["extensions"]["operations"][0];
    let operation = started["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{accepted}"))
        .to_owned();
    assert_eq!(
        started["location"],
        format!("{PUBLIC_URL}/operations/{operation}")
    );
    let started = Started {
        application,
        operation,
    };
    let location = accepted["extensions"]["locations"][0].as_str().unwrap();
    assert_eq!(location, format!("{PUBLIC_URL}{}", started.last()));
    started
}

async fn poll(gateway: &Gateway, path: &str) -> (StatusCode, Value) {
    answer(gateway.get(path).await).await
}

fn failed() -> Outcome {
    Outcome::Failed {
        error: "webhook timeout reached".into(),
        detail: "503 from the system".into(),
    }
}

#[tokio::test]
async fn an_operation_in_progress_is_in_progress_for_both_urls() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        for path in [
            started.last(),
            started.own(),
            format!("/director{}", started.last()),
        ] {
            let response = gateway.get(&path).await;
            assert_eq!(
                response.headers()[CONTENT_TYPE],
                "application/json;charset=UTF-8"
            );
            assert_eq!(response.headers()[RETRY_AFTER], "1");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let (status, body) = answer(response).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(body["status"], "IN_PROGRESS", "{path}");
            assert_eq!(body["operation_type"], "Delete", "{path}");
            assert_eq!(body["resource_id"], started.application, "{path}");
            assert_eq!(body["resource_type"], "application", "{path}");
            assert_eq!(body.get("error"), None, "{path}");
        }
    }
}

#[tokio::test]
async fn after_a_successful_delete_the_poll_url_says_so() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        gateway
            .inside
            .operations
            .finalize(started.id(), Outcome::Succeeded)
            .await
            .unwrap();
        for path in [started.last(), started.own()] {
            let response = gateway.get(&path).await;
            assert!(!response.headers().contains_key(RETRY_AFTER));
            let (status, body) = answer(response).await;
            assert_eq!(
                (status, &body["status"]),
                (StatusCode::OK, &json!("SUCCEEDED")),
                "{path}"
            );
            assert_eq!(body["operation_type"], "Delete", "{path}");
            assert!(body["creation_time"].is_string(), "{path}");
        }
    }
}

#[tokio::test]
async fn a_failure_is_told_with_its_reason() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        gateway
            .inside
            .operations
            .finalize(started.id(), failed())
            .await
            .unwrap();
        let (_, last) = poll(&gateway, &started.last()).await;
        assert_eq!(last["status"], "FAILED");
        assert_eq!(last["error"], "{\"error\": \"webhook timeout reached\"}");
        let (_, own) = poll(&gateway, &started.own()).await;
        assert_eq!(own["status"], "FAILED");
        assert_eq!(own["error"], "webhook timeout reached");
        assert_eq!(own["error_detail"], "503 from the system");
    }
}

#[tokio::test]
async fn an_unpaired_application_stays_and_its_url_goes_on_with_the_next_change() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNPAIR).await;
        let (_, last) = poll(&gateway, &started.last()).await;
        assert_eq!(
            (&last["operation_type"], &last["status"]),
            (&json!("Update"), &json!("IN_PROGRESS"))
        );
        gateway
            .inside
            .operations
            .finalize(started.id(), Outcome::Succeeded)
            .await
            .unwrap();
        let (_, last) = poll(&gateway, &started.last()).await;
        assert_eq!(
            (&last["operation_type"], &last["status"]),
            (&json!("Update"), &json!("SUCCEEDED"))
        );
    }
}

#[tokio::test]
async fn a_creation_is_a_creation_before_and_after_its_end() {
    for gateway in Gateway::on_both().await {
        let register = "mutation { registerApplication(in: {name: \"new\"}, mode: ASYNC) { id } }";
        let accepted = gateway.ask("test", register, json!({})).await;
        let id = accepted["extensions"]["operations"][0]["id"]
            .as_str()
            .unwrap();
        let location = accepted["extensions"]["locations"][0].as_str().unwrap();
        let path = location.strip_prefix(PUBLIC_URL).unwrap();
        let (_, last) = poll(&gateway, path).await;
        assert_eq!(
            (&last["operation_type"], &last["status"]),
            (&json!("Create"), &json!("IN_PROGRESS"))
        );
        let id = OperationId(id.parse().unwrap());
        gateway
            .inside
            .operations
            .finalize(id, Outcome::Succeeded)
            .await
            .unwrap();
        let (_, last) = poll(&gateway, path).await;
        assert_eq!(
            (&last["operation_type"], &last["status"]),
            (&json!("Create"), &json!("SUCCEEDED"))
        );
    }
}

#[tokio::test]
async fn another_tenant_sees_no_difference_to_an_operation_that_never_was() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        for outcome in [None, Some(Outcome::Succeeded)] {
            if let Some(outcome) = outcome {
                gateway
                    .inside
                    .operations
                    .finalize(started.id(), outcome)
                    .await
                    .unwrap();
            }
            for (path, unknown) in [
                (started.last(), started.application.as_str()),
                (started.own(), started.operation.as_str()),
            ] {
                let never = "deadbeef-0000-4000-8000-000000000001";
                let ask = async |path: String| {
                    let request = gateway
                        .client
                        .get(gateway.url(&path))
                        .header("Tenant", "other");
                    let response = request.send().await.unwrap();
                    (response.status(), response.text().await.unwrap())
                };
                let (status, foreign) = ask(path.clone()).await;
                let (_, missing) = ask(path.replace(unknown, never)).await;
                assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
                assert_eq!(foreign.replace(unknown, never), missing, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_may_wait_for_the_end() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        let request = gateway
            .client
            .get(gateway.url(&started.own()))
            .header("Prefer", "wait=20");
        let asked = Instant::now();
        let finalize = gateway
            .inside
            .operations
            .finalize(started.id(), Outcome::Succeeded);
        let (response, finalized) = tokio::join!(request.send(), finalize);
        finalized.unwrap();
        let response = response.unwrap();
        assert_eq!(response.headers()["preference-applied"], "wait=20");
        assert_eq!(answer(response).await.1["status"], "SUCCEEDED");
        assert!(asked.elapsed() < Duration::from_secs(15));
    }
}

#[tokio::test]
async fn waiting_ends_in_time_with_what_is_known() {
    for gateway in Gateway::on_both().await {
        let started = start(&gateway, UNREGISTER).await;
        let request = gateway
            .client
            .get(gateway.url(&started.own()))
            .header("Prefer", "wait=1");
        let asked = Instant::now();
        let body = answer(request.send().await.unwrap()).await.1;
        assert_eq!(body["status"], "IN_PROGRESS");
        assert!(asked.elapsed() >= Duration::from_secs(1));
    }
}
