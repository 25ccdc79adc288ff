//! What many requests ask for at the same time, which shares transactions.

use director_gateway::registry::Error;
use director_gateway::registry::application::NewApplication;
use director_gateway::registry::label::Labels;
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Gateway, on_both};

const TENANT: &str = "mine";
const EVERYTHING: &str =
    "query($id:ID!){application(id:$id){name labels webhooks{type url retryInterval}}}";

async fn register(gateway: &Gateway, input: Value) -> Value {
    let document = "mutation($in:ApplicationRegisterInput!){r:registerApplication(in:$in){id}}";
    gateway
        .ask_with(TENANT, document, json!({ "in": input }))
        .await
}

fn named(name: &str) -> NewApplication {
    NewApplication {
        name: name.to_owned(),
        provider_name: None,
        description: None,
        health_check_url: None,
        base_url: None,
        application_namespace: None,
        integration_system_id: None,
        local_tenant_id: None,
        status_condition: None,
        application_template_id: None,
        labels: Labels::new(),
        webhooks: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_registrations_has_what_is_its_own() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let asked = (0..40).map(|number| {
            let hooks: Vec<_> = ["CONFIGURATION_CHANGED", "OPEN_RESOURCE_DISCOVERY"]
                .into_iter()
                .take(number % 3)
                .map(|kind| json!({ "type": kind, "url": format!("https://{number}.example"), "retryInterval": number }))
                .collect();
            let label = json!({ "n": number, "text": "\"ü\\" });
            json!({ "name": format!("App {number}"), "labels": { "own": label }, "webhooks": hooks })
        });
        let asked: Vec<Value> = asked.collect();
        let answers = join_all(asked.iter().map(|input| register(&gateway, input.clone()))).await;
        for (input, answer) in asked.iter().zip(answers) {
            let id = &answer["data"]["r"]["id"];
            let found = gateway
                .ask_with(TENANT, EVERYTHING, json!({ "id": id }))
                .await;
            let found = &found["data"]["application"];
            assert_eq!(found["name"], input["name"], "{answer}");
            assert_eq!(found["labels"]["own"], input["labels"]["own"]);
            assert_eq!(found["webhooks"], input["webhooks"]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_refused_takes_no_other_along() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let hook = json!({ "type": "CONFIGURATION_CHANGED", "url": "https://a.example" });
        let good =
            (0..20).map(|number| register(&gateway, json!({ "name": format!("good {number}") })));
        let twice = json!({ "name": "twice", "webhooks": [hook, hook] });
        let empty = json!({ "name": "empty", "labels": { "none": null } });
        let nowhere = gateway.registry.register(Uuid::nil(), named("nowhere"));
        let (good, twice, empty, nowhere) = tokio::join!(
            join_all(good),
            register(&gateway, twice),
            register(&gateway, empty),
            nowhere
        );
        for answer in good {
            assert_eq!(answer.get("errors"), None, "{answer}");
        }
        assert_ne!(twice.get("errors"), None, "{twice}");
        assert_ne!(empty.get("errors"), None, "{empty}");
        assert!(
            matches!(nowhere, Err(Error::Referenced { .. })),
            "{nowhere:?}"
        );
        let count = gateway.ask(TENANT, "{applications{totalCount}}").await;
        assert_eq!(count["data"]["applications"]["totalCount"], 20);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_removed_once_and_only_in_its_tenant() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT, "theirs"]).await;
        let answer = register(&gateway, json!({ "name": "app" })).await;
        let variables = json!({ "id": answer["data"]["r"]["id"] });
        let document = "mutation($id:ID!){r:unregisterApplication(id:$id){name}}";
        let ask = |tenant| gateway.ask_with(tenant, document, variables.clone());
        let answer = ask("theirs").await;
        assert_eq!(
            answer["errors"][0]["extensions"]["error_code"], 20,
            "{answer}"
        );
        let answers = join_all((0..8).map(|_| ask(TENANT))).await;
        let (removed, missing): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|answer| answer.get("errors").is_none());
        assert_eq!(removed.len(), 1, "{answers:?}");
        assert_eq!(removed[0]["data"]["r"]["name"], "app");
        for answer in missing {
            assert_eq!(
                answer["errors"][0]["extensions"]["error_code"], 20,
                "{answer}"
            );
        }
    })
    .await;
}
