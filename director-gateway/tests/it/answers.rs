//! Answers as the GraphQL specification wants them, and asynchronous mutations.

use async_graphql::{Request, Variables};
use serde_json::{Value, json};

use crate::support::{Gateway, on_both};

const TENANT: &str = "mine";

async fn registered(gateway: &Gateway, name: &str) -> String {
    let query = format!("mutation{{registerApplication(in:{{name:\"{name}\"}}){{id}}}}");
    let answer = gateway.ask(TENANT, query).await;
    answer["data"]["registerApplication"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["error_code"]
}

#[tokio::test]
async fn a_field_that_fails_is_null_and_takes_along_what_may_not_hold_a_null() {
    let gateway = Gateway::sqlite().await;
    gateway.tenants(&[TENANT]).await;
    for (query, data) in [
        (
            "{a:application(id:\"x\"){id} v:viewer{type}}",
            json!({"a": null, "v": {"type": "USER"}}),
        ),
        (
            "{applications(first:0){totalCount} viewer{type}}",
            Value::Null,
        ),
        (
            "{a:tenantByExternalID(id:\"none\"){labels}}",
            json!({ "a": null }),
        ),
    ] {
        let answer = gateway.ask(TENANT, query).await;
        assert_eq!(answer["data"], data, "{query}");
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer}");
    }
}

#[tokio::test]
async fn an_object_of_which_everything_is_skipped_is_empty() {
    let gateway = Gateway::sqlite().await;
    let answer = gateway.schema.execute("{viewer{id @skip(if:true)}}").await;
    assert_eq!(
        serde_json::to_value(answer).unwrap()["data"],
        json!({ "viewer": {} })
    );
}

/// Documents, their variables, and whether they are refused.
fn uses_of_variables() -> Vec<(&'static str, Value, bool)> {
    vec![
        (
            "query($n:Int){applications(first:$n){totalCount}}",
            json!({}),
            false,
        ),
        (
            "query($n:Int=3){applications(first:$n){totalCount}}",
            json!({}),
            false,
        ),
        (
            "query($f:[LabelFilter!]!){applications(filter:$f){totalCount}}",
            json!({"f":[]}),
            false,
        ),
        (
            "query($k:String){applications(filter:[{key:\"a\",query:$k}]){totalCount}}",
            json!({}),
            false,
        ),
        (
            "mutation($in:[BusinessTenantMappingInput!]!){writeTenants(in:$in)}",
            json!({ "in": [] }),
            false,
        ),
        (
            "query($id:ID){application(id:$id){id}}",
            json!({ "id": "x" }),
            true,
        ),
        ("query($id:ID!){application(id:$id){id}}", json!({}), true),
        (
            "query($id:ID!){application(id:$id){id}}",
            json!({ "id": null }),
            true,
        ),
        (
            "query($n:String){applications(first:$n){totalCount}}",
            json!({}),
            true,
        ),
        (
            "query($n:Int){...F} fragment F on Query{application(id:$n){id}}",
            json!({"n":1}),
            true,
        ),
        (
            "query($k:[String]){applications(filter:[{key:$k}]){totalCount}}",
            json!({}),
            true,
        ),
        (
            "mutation{registerApplication(in:{name:\"a\",statusCondition:\"FAILED\"}){id}}",
            json!({}),
            true,
        ),
    ]
}

#[tokio::test]
async fn a_variable_fits_its_place_or_the_request_is_refused() {
    let gateway = Gateway::sqlite().await;
    gateway.tenants(&[TENANT]).await;
    for (query, variables, is_refused) in uses_of_variables() {
        let request = Request::new(query).variables(Variables::from_json(variables));
        let answer = gateway.ask(TENANT, request).await;
        let refused = answer["data"].is_null() && answer["errors"][0].get("path").is_none();
        assert_eq!(refused, is_refused, "{query}: {answer}");
    }
}

#[tokio::test]
async fn bad_input_is_told_with_code_22_and_what_is_wrong() {
    let gateway = Gateway::postgres().await;
    gateway.tenants(&[TENANT]).await;
    for (field, part) in [
        ("application(id:\"abc\"){id}", "id is not a UUID"),
        (
            "applications(filter:[{key:\"k\",query:\"no\"}]){totalCount}",
            "is not JSON",
        ),
        (
            "applications(first:3000000000){totalCount}",
            "Only integers",
        ),
        (
            "tenants(first:0){totalCount}",
            "page size cannot be smaller than 1",
        ),
    ] {
        let answer = gateway.ask(TENANT, format!("{{{field}}}")).await;
        assert_eq!(*code(&answer), 22, "{answer}");
        assert!(
            answer["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains(part),
            "{answer}"
        );
    }
    for (field, part) in [
        ("registerApplication(in:{name:\"a\\u0000b\"}){id}", "U+0000"),
        (
            "registerApplication(in:{name:\"a\"},mode:null){id}",
            "mode must be SYNC or ASYNC",
        ),
        (
            "registerApplication(in:{name:\"a\",integrationSystemID:\"x\"}){id}",
            "is not a UUID",
        ),
        (
            "registerApplication(in:{name:\"a\",webhooks:[{type:CONFIGURATION_CHANGED,url:\"https://a\",\
          timeout:-1}]}){id}",
            "webhooks=0: (timeout: must be no less than 0.).",
        ),
    ] {
        let answer = gateway.ask(TENANT, format!("mutation{{{field}}}")).await;
        assert_eq!(*code(&answer), 22, "{answer}");
        assert!(
            answer["errors"][0]["message"]
                .as_str()
                .unwrap()
                .contains(part),
            "{answer}"
        );
    }
    let left = gateway.ask(TENANT, "{applications{totalCount}}").await;
    assert_eq!(
        left["data"]["applications"]["totalCount"], 0,
        "nothing is written"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_async_mutation_works_literally_through_a_variable_and_in_a_fragment() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let forms = [
            "mutation($id:ID!){r:unregisterApplication(id:$id,mode:ASYNC){name}}",
            "mutation($id:ID!,$m:OperationMode){r:unregisterApplication(id:$id,mode:$m){name}}",
            "mutation($id:ID!){...F} fragment F on Mutation{r:unregisterApplication(id:$id,mode:ASYNC){name}}",
        ];
        for (number, form) in forms.iter().enumerate() {
            let name = format!("app {number}");
            let id = registered(&gateway, &name).await;
            let variables = json!({ "id": id, "m": "ASYNC" });
            let answer = gateway.ask_with(TENANT, form, variables).await;
            assert_eq!(answer["data"]["r"]["name"], name.as_str(), "{answer}");
            let location = format!("http://gateway.example/last_operation/application/{id}");
            assert_eq!(answer["extensions"]["locations"], json!([location]));
            let operation = &answer["extensions"]["operations"][0];
            let own = operation["id"].as_str().unwrap();
            assert_eq!(operation["location"], format!("http://gateway.example/operations/{own}"));

            let again = "mutation($id:ID!){r:unregisterApplication(id:$id,mode:ASYNC){id}}";
            let second = gateway.ask_with(TENANT, again, json!({ "id": id })).await;
            let error = &second["errors"][0];
            assert_eq!(error["message"], "Concurrent operation [reason=delete operation is in progress]");
            assert_eq!(error["extensions"]["error_code"], 32);
            assert_eq!(error["extensions"]["operation_id"], operation["id"]);
            assert_eq!(second.get("extensions"), None);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_registered_together_with_its_operation_or_not_at_all() {
    const REGISTER: &str = "mutation{registerApplication(in:{name:\"a\"},mode:ASYNC){id}}";
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let first = gateway.ask(TENANT, REGISTER).await;
        let id = first["data"]["registerApplication"]["id"].as_str().unwrap();
        let operation = &first["extensions"]["operations"][0]["id"];
        let read = format!("{{application(id:\"{id}\"){{status{{condition}} updatedAt}}}}");
        let application = &gateway.ask(TENANT, read).await["data"]["application"];
        assert_eq!(application["status"]["condition"], "CREATING");
        assert!(application["updatedAt"].is_string());
        let update = format!("mutation{{updateApplication(id:\"{id}\",in:{{}}){{id}}}}");
        let refused = gateway.ask(TENANT, update).await;
        assert_eq!(
            refused["errors"][0]["extensions"]["operation_id"],
            *operation
        );

        let second = gateway.ask(TENANT, REGISTER).await;
        assert_eq!(*code(&second), 31);
        assert_eq!(second.get("extensions"), None);
        assert_eq!(gateway.outbox().await, 1);
    })
    .await;
}
