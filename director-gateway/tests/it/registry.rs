//! The registry's promises, the same on both databases.

use binnacle_boot::Shutdown;
use binnacle_boot::database::{Database, DatabaseUrl, Options};
use binnacle_test_support::Postgres;
use director_gateway::registry::Registry;
use director_gateway::registry::whole::With;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gateway, on_both};

const TENANT: &str = "mine";
const OTHER: &str = "theirs";

const COUNT: &str = "query($f:[LabelFilter!]){applications(filter:$f){totalCount data{name}}}";
const WEBHOOK: &str = "query($id:ID!){application(id:$id){webhooks{id}}}";
const ALL: &str = "{applications{data{name labels}}}";
const PAGE: &str = "query($a:PageCursor){applications(first:3,after:$a){data{id} \
                            pageInfo{endCursor hasNextPage}}}";

async fn register(gateway: &Gateway, input: Value) -> Value {
    const REGISTER: &str =
        "mutation($in:ApplicationRegisterInput!){r:registerApplication(in:$in){id}}";
    gateway
        .ask_with(TENANT, REGISTER, json!({ "in": input }))
        .await
}

async fn registered(gateway: &Gateway, input: Value) -> String {
    let answer = register(gateway, input).await;
    answer["data"]["r"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

async fn revision(gateway: &Gateway, id: &str) -> i64 {
    let tenant = gateway
        .registry
        .tenant_by_external_id(TENANT)
        .await
        .unwrap()
        .unwrap();
    let id = id.parse().unwrap();
    gateway
        .registry
        .application(tenant.id, id, With::default())
        .await
        .unwrap()
        .unwrap()
        .application
        .revision
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_registrations_of_one_name_exactly_one_succeeds() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let names = ["My App", "my app", "my_app", "MY--APP"];
        let asked = names.iter().cycle().take(16);
        let answers = join_all(asked.map(|name| register(&gateway, json!({ "name": name })))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers
            .iter()
            .partition(|answer| answer.get("errors").is_none());
        assert_eq!(won.len(), 1, "{answers:?}");
        for answer in lost {
            assert_eq!(
                answer["errors"][0]["extensions"]["error_code"], 31,
                "{answer}"
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_means_containment_whatever_the_database() {
    let values = json!({
        "text": "a", "number": 1, "whole": 1.0, "yes": true, "no": false, "nothing": [null],
        "list": ["a", "b", 1], "nested": [["a"], {"k": "v", "l": [1, 2]}],
        "object": {"x": {"y": "z", "w": 2}, "empty": {}}, "quote": "x' OR '1'='1", "json": "[\"a\"]",
    });
    let cases = [
        ("text", "\"a\"", true),
        ("text", "\"b\"", false),
        ("text", "[\"a\"]", false),
        ("number", "1", true),
        ("number", "1.0", true),
        ("number", "\"1\"", false),
        ("whole", "1", true),
        ("yes", "true", true),
        ("yes", "1", false),
        ("no", "false", true),
        ("no", "null", false),
        ("nothing", "null", true),
        ("list", "\"a\"", true),
        ("list", "[\"b\",\"a\"]", true),
        ("list", "[\"a\",\"a\"]", true),
        ("list", "[\"c\"]", false),
        ("list", "[]", true),
        ("list", "{}", false),
        ("nested", "\"a\"", false),
        ("nested", "[\"a\"]", false),
        ("nested", "[[\"a\"]]", true),
        ("nested", "[{\"l\":[2]}]", true),
        ("nested", "[{\"l\":2}]", false),
        ("object", "{\"x\":{\"y\":\"z\"}}", true),
        ("object", "{\"x\":{}}", true),
        ("object", "{\"x\":[]}", false),
        ("object", "{\"y\":\"z\"}", false),
        ("object", "{\"empty\":{\"a\":1}}", false),
        ("quote", "\"x' OR '1'='1\"", true),
        ("json", "\"[\\\"a\\\"]\"", true),
        ("json", "[\"a\"]", false),
        ("missing", "\"a\"", false),
    ];
    on_both(|gateway| {
        let values = values.clone();
        async move {
            gateway.tenants(&[TENANT]).await;
            let mut values = values.as_object().unwrap().clone();
            values.remove("no");
            registered(&gateway, json!({ "name": "x", "labels": values })).await;
            for (key, query, expected) in cases {
                let filter = json!({ "f": [{ "key": key, "query": query }] });
                let answer = gateway.ask_with(TENANT, COUNT, filter).await;
                let found = &answer["data"]["applications"];
                let expected = i32::from(expected && key != "no");
                assert_eq!(found["totalCount"], expected, "{key} {query}: {answer}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_id_looks_exactly_like_a_missing_one() {
    const UNKNOWN: &str = "deadbeef-0000-4000-8000-000000000001";
    const QUERIES: [&str; 11] = [
        "query($id:ID!){r:application(id:$id){id}}",
        "mutation($id:ID!){r:updateApplication(id:$id,in:{}){id}}",
        "mutation($id:ID!){r:unregisterApplication(id:$id){id}}",
        "mutation($id:ID!){r:unregisterApplication(id:$id,mode:ASYNC){id}}",
        "mutation($id:ID!){r:unpairApplication(id:$id){id}}",
        "mutation($id:ID!){r:unpairApplication(id:$id,mode:ASYNC){id}}",
        "mutation($id:ID!){r:setApplicationLabel(applicationID:$id,key:\"k\",value:1){key}}",
        "mutation($id:ID!){r:deleteApplicationLabel(applicationID:$id,key:\"name\"){key}}",
        "mutation($id:ID!){r:addWebhook(applicationID:$id,in:{type:CONFIGURATION_CHANGED,\
         url:\"https://a.example\"}){id}}",
        "mutation($id:ID!){r:updateWebhook(webhookID:$id,in:{type:CONFIGURATION_CHANGED,\
         url:\"https://a.example\"}){id}}",
        "mutation($id:ID!){r:deleteWebhook(webhookID:$id){id}}",
    ];
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT, OTHER]).await;
        let webhook = json!({ "type": "CONFIGURATION_CHANGED", "url": "https://a.example" });
        let application = registered(&gateway, json!({ "name": "x", "webhooks": [webhook] })).await;
        let answer = gateway
            .ask_with(TENANT, WEBHOOK, json!({ "id": application }))
            .await;
        let webhook = answer["data"]["application"]["webhooks"][0]["id"]
            .as_str()
            .unwrap();
        for query in QUERIES {
            let id = if query.contains("webhookID") {
                webhook
            } else {
                application.as_str()
            };
            let foreign = gateway.ask_with(OTHER, query, json!({ "id": id })).await;
            let missing = gateway
                .ask_with(OTHER, query, json!({ "id": UNKNOWN }))
                .await;
            assert_eq!(
                comparable(&foreign, id),
                comparable(&missing, UNKNOWN),
                "{query}"
            );
        }
        let still = gateway
            .ask_with(TENANT, WEBHOOK, json!({ "id": application }))
            .await;
        assert_eq!(still, answer);
    })
    .await;
}

/// An answer without the id that was asked for and without the ids of its errors.
fn comparable(answer: &Value, id: &str) -> String {
    let text = answer.to_string().replace(id, "<id>");
    match text.split_once("errorID=") {
        Some((before, after)) => format!("{before}{}", &after[36..]),
        None => text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_that_operations_read_bumps_the_revision() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let id = registered(&gateway, json!({ "name": "x" })).await;
        let mut last = revision(&gateway, &id).await;
        let mut webhook = String::new();
        for change in [
            "r:updateApplication(id:\"$id\",in:{description:\"d\"}){id}",
            "r:unpairApplication(id:\"$id\"){id}",
            "r:setApplicationLabel(applicationID:\"$id\",key:\"k\",value:1){key}",
            "r:deleteApplicationLabel(applicationID:\"$id\",key:\"k\"){key}",
            "r:addWebhook(applicationID:\"$id\",in:{type:CONFIGURATION_CHANGED,\
             url:\"https://a.example\"}){id}",
            "r:updateWebhook(webhookID:\"$webhook\",in:{type:CONFIGURATION_CHANGED,\
             url:\"https://b.example\"}){id}",
            "r:deleteWebhook(webhookID:\"$webhook\"){id}",
        ] {
            let change = change.replace("$id", &id).replace("$webhook", &webhook);
            let answer = gateway.ask(TENANT, format!("mutation{{{change}}}")).await;
            assert!(answer.get("errors").is_none(), "{change}: {answer}");
            if change.contains("Webhook") {
                answer["data"]["r"]["id"]
                    .as_str()
                    .unwrap()
                    .clone_into(&mut webhook);
            }
            let now = revision(&gateway, &id).await;
            assert!(now > last, "{change}");
            last = now;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_leaves_the_whole_change_or_none() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        for attempt in 0..40_u64 {
            let labels = json!({ "a": 1, "b": 2, "c": 3 });
            let name = format!("app {attempt}");
            let patience = std::time::Duration::from_micros(attempt * 100);
            let asked = register(&gateway, json!({ "name": name, "labels": labels }));
            let _ = tokio::time::timeout(patience, asked).await;
        }
        registered(&gateway, json!({ "name": "the connections still work" })).await;
        let answer = gateway.ask(TENANT, ALL).await;
        for application in answer["data"]["applications"]["data"].as_array().unwrap() {
            let is_whole = application["labels"].get("c").is_some();
            let is_last = application["name"] == "the connections still work";
            assert!(is_whole || is_last, "{application}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_without_gap_or_repeat() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let mut expected = Vec::new();
        for number in 0..7 {
            expected.push(registered(&gateway, json!({ "name": format!("p{number}") })).await);
        }
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let answer = gateway.ask_with(TENANT, PAGE, json!({ "a": after })).await;
            let page = &answer["data"]["applications"];
            let rows = page["data"].as_array().unwrap();
            found.extend(
                rows.iter()
                    .map(|row| row["id"].as_str().unwrap().to_owned()),
            );
            page["pageInfo"]["endCursor"]
                .as_str()
                .unwrap()
                .clone_into(&mut after);
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
        }
        expected.sort();
        assert_eq!(found, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_goes_with_all_that_it_owns_and_those_below_it() {
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        registered(&gateway, json!({ "name": "x", "labels": { "a": 1 } })).await;
        let write = format!(
            "mutation{{a:writeTenant(in:{{name:\"c\",externalTenant:\"child\",parents:[\"{TENANT}\"],\
             type:\"subaccount\",provider:\"p\"}}) b:writeTenant(in:{{name:\"g\",externalTenant:\
             \"grandchild\",parents:[\"child\"],type:\"folder\",provider:\"p\"}})}}"
        );
        let written = gateway.ask(TENANT, write).await;
        assert!(written.get("errors").is_none(), "{written}");
        let roots = gateway.ask(TENANT, "{rootTenants(externalTenant:\"grandchild\"){id}}").await;
        assert_eq!(roots["data"]["rootTenants"], json!([{ "id": TENANT }]));
        let delete = format!("mutation{{deleteTenants(in:[\"{TENANT}\"])}}");
        assert_eq!(gateway.ask("child", delete).await["data"]["deleteTenants"], 1);
        for external in [TENANT, "child", "grandchild"] {
            let found = gateway.registry.tenant_by_external_id(external).await.unwrap();
            assert_eq!(found, None, "{external}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_is_found_by_its_id_with_and_without_leading_zeros() {
    const WRITE: &str = "mutation($in:[BusinessTenantMappingInput!]!){writeTenants(in:$in)}";
    const READ: &str = "{tenantByExternalID(id:\"a\"){parents}}";
    on_both(|gateway| async move {
        gateway.tenants(&[TENANT]).await;
        let tenant = |id: &str, kind: &str, parents: &[&str]| {
            json!({ "name": id, "externalTenant": id, "type": kind, "provider": "p", "parents": parents })
        };
        let both = json!([tenant("a", "account", &["0042"]), tenant("0042", "customer", &[])]);
        let written = gateway.ask_with(TENANT, WRITE, json!({ "in": both })).await;
        let customer = &written["data"]["writeTenants"][1];
        let read = gateway.ask(TENANT, READ).await;
        assert_eq!(read["data"]["tenantByExternalID"]["parents"], json!([customer]), "{written}");
        assert!(gateway.registry.tenant_by_external_id("42").await.unwrap().is_some());

        let orphan = json!([tenant("b", "account", &["nobody"])]);
        let refused = gateway.ask_with(TENANT, WRITE, json!({ "in": orphan })).await;
        assert_eq!(refused["errors"][0]["extensions"]["error_code"], 20);
        assert_eq!(gateway.registry.tenant_by_external_id("b").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_at_once_migrate_once() {
    let url = tokio::task::spawn_blocking(|| Postgres::shared().create_database())
        .await
        .unwrap();
    let url: DatabaseUrl = url.parse().unwrap();
    let shutdown = Shutdown::new();
    let opened = (0..6).map(|_| Registry::open(&url, Options::default(), &shutdown));
    for registry in join_all(opened).await {
        let registry = registry.unwrap();
        assert!(matches!(registry.database(), Database::Postgres(_)));
        registry.ensure_tenant("same").await.unwrap();
    }
}
