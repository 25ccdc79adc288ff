//! Bad input over HTTP: a clear error with a stable code, nothing written, and the next request works.

use serde_json::{Value, json};

use crate::http::Gateway;

const REGISTER: &str =
    "mutation($in: ApplicationRegisterInput!) { registerApplication(in: $in) { id } }";
const ADD_WEBHOOK: &str =
    "mutation($id: ID!, $in: WebhookInput!) { addWebhook(applicationID: $id, in: $in) { id } }";
const READ: &str = "query($id: ID!) { application(id: $id) { id } }";

/// The error's number, and what the field was answered with.
fn refused(answer: &Value, field: &str) -> i64 {
    assert_eq!(answer["data"][field], Value::Null, "{answer}");
    assert_eq!(
        answer["errors"].as_array().map(Vec::len),
        Some(1),
        "{answer}"
    );
    let error = &answer["errors"][0];
    assert!(!error["message"].as_str().unwrap().is_empty(), "{answer}");
    assert!(error["extensions"]["error"].is_string(), "{answer}");
    error["extensions"]["error_code"]
        .as_i64()
        .unwrap_or_else(|| panic!("{answer}"))
}

async fn total(gateway: &Gateway) -> Value {
    let query = "{ applications { totalCount } }";
    gateway.ask("test", query, json!({})).await["data"]["applications"]["totalCount"].clone()
}

async fn registered(gateway: &Gateway, tenant: &str) -> String {
    let answer = gateway
        .ask(tenant, REGISTER, json!({"in": {"name": "shop"}}))
        .await;
    answer["data"]["registerApplication"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn an_application_with_a_bad_name_is_not_registered() {
    for gateway in Gateway::on_both().await {
        for name in [String::new(), "x".repeat(101)] {
            let answer = gateway
                .ask("test", REGISTER, json!({"in": {"name": name}}))
                .await;
            assert_eq!(refused(&answer, "registerApplication"), 22, "{name:?}");
        }
        for input in [
            json!({}),
            json!({"name": null}),
            json!({"name": ["a"]}),
            json!("a"),
            json!(null),
        ] {
            let answer = gateway.ask("test", REGISTER, json!({"in": input})).await;
            refused(&answer, "registerApplication");
        }
        assert_eq!(total(&gateway).await, 0);
        registered(&gateway, "test").await;
        assert_eq!(total(&gateway).await, 1);
    }
}

#[tokio::test]
async fn a_foreign_application_is_answered_like_a_missing_one() {
    for gateway in Gateway::on_both().await {
        let foreign = registered(&gateway, "other").await;
        let missing = "deadbeef-0000-4000-8000-000000000001";
        for query in [
            READ,
            "mutation($id: ID!) { unregisterApplication(id: $id) { id } }",
            "mutation($id: ID!) { unregisterApplication(id: $id, mode: ASYNC) { id } }",
            "mutation($id: ID!) { unpairApplication(id: $id, mode: ASYNC) { id } }",
            "mutation($id: ID!) { updateApplication(id: $id, in: {description: \"d\"}) { id } }",
            "mutation($id: ID!) { setApplicationLabel(applicationID: $id, key: \"k\", value: 1) { key } }",
            "mutation($id: ID!) { addWebhook(applicationID: $id, \
         in: {type: CONFIGURATION_CHANGED, url: \"https://a.example\"}) { id } }",
        ] {
            let of_foreign = gateway.ask("test", query, json!({"id": foreign})).await;
            let of_missing = gateway.ask("test", query, json!({"id": missing})).await;
            let text = of_foreign.to_string().replace(&foreign, missing);
            assert_eq!(text, of_missing.to_string(), "{query}");
        }
        let still = gateway.ask("other", READ, json!({"id": foreign})).await;
        assert_eq!(still["data"]["application"]["id"], foreign);
    }
}

#[tokio::test]
async fn an_id_that_is_none_is_refused() {
    for gateway in Gateway::on_both().await {
        let long = "x".repeat(1_000_000);
        for id in [
            "",
            "abc",
            "'; DROP TABLE application; --",
            "{}",
            "\u{0}",
            long.as_str(),
        ] {
            for (field, query) in [
                ("application", READ),
                (
                    "unregisterApplication",
                    "mutation($id: ID!) { unregisterApplication(id: $id, mode: ASYNC) { id } }",
                ),
            ] {
                let answer = gateway.ask("test", query, json!({"id": id})).await;
                refused(&answer, field);
                assert!(answer.to_string().len() < 3_000_000);
            }
        }
    }
}

const URL: &str = "https://a.example";
const URL_TEMPLATE: &str = r#"{"method": "POST", "path": "https://a.example/{{.Application.ID}}"}"#;
const OUTPUT: &str = r#"{"error": "{{.Body.error}}", "success_status_code": 200}"#;

/// Adds a webhook that is good but for `fields`.
async fn add_webhook(gateway: &Gateway, application: &str, fields: &Value) -> Value {
    let mut webhook = json!({"type": "UNREGISTER_APPLICATION", "outputTemplate": OUTPUT});
    for (name, value) in fields.as_object().unwrap() {
        webhook[name] = value.clone();
    }
    let variables = json!({"id": application, "in": webhook});
    gateway.ask("test", ADD_WEBHOOK, variables).await
}

async fn webhooks(gateway: &Gateway, application: &str) -> usize {
    let query = "query($id: ID!) { application(id: $id) { webhooks { id } } }";
    let answer = gateway.ask("test", query, json!({"id": application})).await;
    let webhooks = answer["data"]["application"]["webhooks"].as_array();
    webhooks.map_or(0, Vec::len)
}

#[tokio::test]
async fn a_webhook_that_cannot_work_is_not_added() {
    for gateway in Gateway::on_both().await {
        let id = registered(&gateway, "test").await;
        let both = json!({"url": URL, "urlTemplate": URL_TEMPLATE});
        let input = json!({"url": URL, "inputTemplate": "{{.Application.ID}"});
        let no_output = json!({"url": URL, "outputTemplate": "{}"});
        let no_status = json!({"url": URL, "mode": "ASYNC"});
        let empty_status = json!({"url": URL, "mode": "ASYNC", "statusTemplate": "{}"});
        for (reason, fields) in [
            ("missing webhook url]", json!({})),
            ("cannot provide both", both),
            ("url=must be a valid URL", json!({"url": "not a url"})),
            ("unclosed action", json!({"urlTemplate": "{{.Application"})),
            ("webhook url template", json!({"urlTemplate": "plain"})),
            ("webhook input template", input),
            ("missing Output Template", no_output),
            ("missing webhook status template", no_status),
            ("missing Status Template", empty_status),
            ("timeout=", json!({"url": URL, "timeout": -1})),
            ("retryInterval=", json!({"url": URL, "retryInterval": -1})),
        ] {
            let answer = add_webhook(&gateway, &id, &fields).await;
            assert_eq!(refused(&answer, "addWebhook"), 22, "{fields}");
            let message = answer["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains(reason), "{fields}: {message}");
        }
        assert_eq!(webhooks(&gateway, &id).await, 0);
        let good = json!({"urlTemplate": URL_TEMPLATE});
        add_webhook(&gateway, &id, &good).await;
        assert_eq!(webhooks(&gateway, &id).await, 1);
    }
}

#[tokio::test]
async fn a_webhook_that_does_not_fit_the_schema_is_not_added() {
    for gateway in Gateway::on_both().await {
        let id = registered(&gateway, "test").await;
        for fields in [
            json!({"url": URL, "type": "NONE"}),
            json!({"url": URL, "timeout": 3_000_000_000_i64}),
            json!({"url": URL, "retryInterval": 1e30}),
            json!({"url": URL, "mode": true}),
            json!({"url": [URL, URL]}),
        ] {
            let answer = add_webhook(&gateway, &id, &fields).await;
            assert!(
                answer["errors"][0]["message"].is_string(),
                "{fields}: {answer}"
            );
            assert_eq!(answer["data"], Value::Null, "{fields}");
        }
        assert_eq!(webhooks(&gateway, &id).await, 0);
    }
}

#[tokio::test]
async fn a_second_operation_is_refused_and_names_the_first() {
    for gateway in Gateway::on_both().await {
        let id = registered(&gateway, "test").await;
        let unregister =
            "mutation($id: ID!) { unregisterApplication(id: $id, mode: ASYNC) { id } }";
        let first = gateway.ask("test", unregister, json!({"id": id})).await;
        let running = &first["extensions"]["operations"][0]["id"];
        assert!(running.is_string(), "{first}");
        let second = gateway.ask("test", unregister, json!({"id": id})).await;
        assert_eq!(refused(&second, "unregisterApplication"), 32);
        assert_eq!(&second["errors"][0]["extensions"]["operation_id"], running);
        assert_eq!(second.get("extensions"), None);
    }
}

#[tokio::test]
async fn of_many_operations_asked_for_at_once_one_is_started() {
    for gateway in Gateway::on_both().await {
        let id = registered(&gateway, "test").await;
        let unregister =
            "mutation($id: ID!) { unregisterApplication(id: $id, mode: ASYNC) { id } }";
        let asked = (0..16).map(|_| gateway.ask("test", unregister, json!({"id": id})));
        let answers = futures::future::join_all(asked).await;
        let started = answers
            .iter()
            .filter(|answer| answer.get("errors").is_none());
        assert_eq!(started.count(), 1, "{answers:?}");
        for answer in answers
            .iter()
            .filter(|answer| answer.get("errors").is_some())
        {
            assert_eq!(refused(answer, "unregisterApplication"), 32);
        }
    }
}

#[tokio::test]
async fn a_page_that_is_none_is_refused() {
    for gateway in Gateway::on_both().await {
        let query = "query($n: Int, $after: PageCursor) { applications(first: $n, after: $after) { totalCount } }";
        for variables in [
            json!({"n": 0}),
            json!({"n": -1}),
            json!({"n": 201}),
            json!({"n": 1, "after": "forged"}),
            json!({"n": 1, "after": "RHBLdEo0ajlqRHEtMQ=="}),
            json!({"n": 1, "after": "x".repeat(100_000)}),
        ] {
            let answer = gateway.ask("test", query, variables.clone()).await;
            refused(&answer, "applications");
        }
        assert_eq!(total(&gateway).await, 0);
    }
}
