//! Application templates, the same on both databases.

use serde_json::{Value, json};

use crate::support::{Gateway, on_both};

const TENANT: &str = "mine";
const CREATE: &str =
    "mutation($in:ApplicationTemplateInput!){r:createApplicationTemplate(in:$in){id}}";
const UPDATE: &str = "mutation($id:ID!,$in:ApplicationTemplateUpdateInput!){\
                      r:updateApplicationTemplate(id:$id,in:$in){id webhooks{url}}}";
const REGISTER: &str = "mutation($in:ApplicationFromTemplateInput!){\
                        r:registerApplicationFromTemplate(in:$in){id name description labels webhooks{url}}}";

fn template(name: &str) -> Value {
    let placeholders = json!([
        { "name": "name", "jsonPath": "$.system.name" },
        { "name": "note", "jsonPath": "$.notes[0]", "optional": true },
    ]);
    json!({
        "name": name,
        "accessLevel": "GLOBAL",
        "applicationInput": {
            "name": "{{name}}", "description": "about {{name}}", "labels": { "note": "{{note}}" },
        },
        "placeholders": placeholders,
        "webhooks": [{ "type": "CONFIGURATION_CHANGED", "url": "https://template.example" }],
    })
}

async fn created(gateway: &Gateway, input: Value) -> String {
    let answer = gateway
        .ask_with(TENANT, CREATE, json!({ "in": input }))
        .await;
    answer["data"]["r"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["error_code"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_stays_text_whatever_is_in_it() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        created(&gateway, template("T")).await;
        let value = r#"x","baseUrl":"https://evil.example"#;
        let values = json!([{ "placeholder": "name", "value": value }]);
        let input = json!({ "in": { "templateName": "T", "values": values } });
        let answer = gateway.ask_with(TENANT, REGISTER, input).await;
        let application = &answer["data"]["r"];
        assert_eq!(application["name"], value, "{answer}");
        assert_eq!(application["description"], format!("about {value}"));
        assert_eq!(
            application["labels"].get("note"),
            None,
            "an empty label is left out"
        );
        assert_eq!(application["labels"]["applicationType"], "T");
        assert_eq!(
            application["webhooks"],
            json!([{ "url": "https://template.example" }])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_gives_the_values_by_their_paths() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        created(&gateway, template("T")).await;
        let payload = json!({ "system": { "name": "shop" }, "notes": ["n"] }).to_string();
        let input = json!({ "in": { "templateName": "T", "placeholdersPayload": payload } });
        let answer = gateway.ask_with(TENANT, REGISTER, input).await;
        assert_eq!(answer["data"]["r"]["name"], "shop", "{answer}");
        assert_eq!(answer["data"]["r"]["labels"]["note"], "n");
        let missing = json!({ "in": { "templateName": "T", "placeholdersPayload": "{}" } });
        let refused = gateway.ask_with(TENANT, REGISTER, missing).await;
        let message = refused["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("system is not found"), "{message}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_unique_per_region_and_new_ones_reach_the_applications() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let id = created(&gateway, template("T")).await;
        let again = gateway
            .ask_with(TENANT, CREATE, json!({ "in": template("T") }))
            .await;
        let message = again["errors"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("with name \"T\" and region <nil> already exists"),
            "{message}"
        );
        let mut regional = template("T");
        regional["labels"] = json!({ "region": "eu" });
        created(&gateway, regional).await;

        let values = json!([{ "placeholder": "name", "value": "a" }]);
        let of = json!({ "in": { "templateName": "T", "id": id, "values": values } });
        let registered = gateway.ask_with(TENANT, REGISTER, of).await;
        assert_eq!(
            registered["data"]["r"]["labels"]["applicationType"], "T",
            "{registered}"
        );
        let update = json!({ "id": id, "in": template("New") });
        let updated = gateway.ask_with(TENANT, UPDATE, update).await;
        assert!(updated.get("errors").is_none(), "{updated}");
        let list = gateway
            .ask(
                TENANT,
                "{applications{data{labels(key:\"applicationType\")}}}",
            )
            .await;
        let labels = &list["data"]["applications"]["data"][0]["labels"];
        assert_eq!(labels["applicationType"], "New");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_applications_stays_and_its_webhooks_yield_to_their_own() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let id = created(&gateway, template("T")).await;
        let values = json!([{ "placeholder": "name", "value": "a" }]);
        let of = json!({ "in": { "templateName": "T", "values": values } });
        let registered = gateway.ask_with(TENANT, REGISTER, of).await;
        let application = registered["data"]["r"]["id"].as_str().unwrap();
        let delete = format!("mutation{{deleteApplicationTemplate(id:\"{id}\"){{id}}}}");
        assert_eq!(code(&gateway.ask(TENANT, delete.clone()).await), 27);
        let own = format!(
            "mutation{{addWebhook(applicationID:\"{application}\",in:{{type:CONFIGURATION_CHANGED,\
             url:\"https://own.example\"}}){{id}}}}"
        );
        gateway.ask(TENANT, own).await;
        let read = format!("{{application(id:\"{application}\"){{webhooks{{url}}}}}}");
        let webhooks = &gateway.ask(TENANT, read).await["data"]["application"]["webhooks"];
        assert_eq!(*webhooks, json!([{ "url": "https://own.example" }]));
        let gone = format!("mutation{{unregisterApplication(id:\"{application}\"){{id}}}}");
        gateway.ask(TENANT, gone).await;
        assert_eq!(gateway.ask(TENANT, delete).await.get("errors"), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_gets_webhooks_from_the_subaccount_that_owns_it() {
    const ADD: &str = "mutation($id:ID!){addWebhook(applicationTemplateID:$id,in:{type:\
                       OPEN_RESOURCE_DISCOVERY,url:\"https://a.example\"}){id}}";
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let id = created(&gateway, template("T")).await;
        assert_eq!(
            code(&gateway.ask_with(TENANT, ADD, json!({ "id": id })).await),
            26
        );
        let mut owned = template("Owned");
        owned["labels"] = json!({ "global_subaccount_id": TENANT });
        let id = created(&gateway, owned).await;
        assert_eq!(
            gateway
                .ask_with(TENANT, ADD, json!({ "id": id }))
                .await
                .get("errors"),
            None
        );
    })
    .await;
}
