//! How many statements a question costs.

use std::cell::RefCell;
use std::fmt::Debug;

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::support::Gateway;

const TENANT: &str = "mine";

const EVERYTHING: &str = "id name systemNumber localTenantID baseUrl providerName description \
     integrationSystemID applicationTemplateID labels status{condition timestamp} \
     webhooks{id type mode url urlTemplate createdAt} healthCheckURL applicationNamespace createdAt \
     updatedAt deletedAt systemStatus error \
     applicationTemplate{id name labels webhooks{id type} placeholders{name} applicationInput}";

thread_local! {
    /// What the database was asked on this thread, where its connections to PostgreSQL live too.
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Statements;

impl<S: Subscriber> Layer<S> for Statements {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Summary);
    }
}

struct Summary;

impl Visit for Summary {
    fn record_str(&mut self, field: &Field, text: &str) {
        // The look at a connection that was idle and the tenant, which is read once a second, are no statements
        // of the question.
        let is_other = ["SELECT now()", "SET ", "SELECT * FROM tenant"]
            .iter()
            .any(|other| text.starts_with(other));
        if field.name() == "summary" && !is_other {
            ASKED.with_borrow_mut(|asked| asked.push(text.to_owned()));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// What the database is asked for `answer`.
async fn statements_of(answer: impl Future<Output = Value>) -> Vec<String> {
    ASKED.take();
    let answer = answer.await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    ASKED.take()
}

async fn register(gateway: &Gateway) {
    let webhook = json!({ "type": "CONFIGURATION_CHANGED", "url": "https://hook.example" });
    let template = json!({
        "name": "T",
        "accessLevel": "GLOBAL",
        "applicationInput": { "name": "{{name}}" },
        "placeholders": [{ "name": "name" }],
        "webhooks": [webhook],
    });
    let create = "mutation($in:ApplicationTemplateInput!){createApplicationTemplate(in:$in){id}}";
    let answer = gateway.ask_with(TENANT, create, json!({ "in": template }));
    assert_eq!(answer.await.get("errors"), None);
    for name in ["a", "b"] {
        let own = json!({ "in": { "name": name, "webhooks": [webhook], "labels": { "l": [1] } } });
        let register = "mutation($in:ApplicationRegisterInput!){registerApplication(in:$in){id}}";
        let answer = gateway.ask_with(TENANT, register, own).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
        let values = json!([{ "placeholder": "name", "value": format!("{name}{name}") }]);
        let from = json!({ "in": { "templateName": "T", "values": values } });
        let register = "mutation($in:ApplicationFromTemplateInput!){\
                        registerApplicationFromTemplate(in:$in){id}}";
        let answer = gateway.ask_with(TENANT, register, from).await;
        assert_eq!(answer.get("errors"), None, "{answer}");
    }
}

#[tokio::test]
async fn a_question_costs_the_same_few_statements_whatever_is_selected() {
    // For the whole process: where a subscriber is one thread's only, what another thread does first is not told.
    tracing::subscriber::set_global_default(Registry::default().with(Statements)).unwrap();
    let gateway = Gateway::postgres().await;
    gateway.tenants(&[TENANT]).await;
    register(&gateway).await;

    let page = format!(
        "{{applications(first:100){{data{{{EVERYTHING}}} pageInfo{{endCursor}} totalCount}}}}"
    );
    let found = statements_of(gateway.ask(TENANT, page.as_str())).await;
    assert_eq!(found.len(), 2, "{found:#?}");
    let plain = "{applications(first:100){data{id webhooks{id} labels} totalCount}}";
    let found = statements_of(gateway.ask(TENANT, plain)).await;
    assert_eq!(found.len(), 1, "{found:#?}");

    let ids = gateway.ask(TENANT, "{applications{data{id name}}}").await;
    for application in ids["data"]["applications"]["data"].as_array().unwrap() {
        let id = application["id"].as_str().unwrap();
        let one = format!("{{application(id:\"{id}\"){{id labels webhooks{{id}}}}}}");
        let found = statements_of(gateway.ask(TENANT, one.as_str())).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        let one = format!("{{application(id:\"{id}\"){{{EVERYTHING}}}}}");
        let found = statements_of(gateway.ask(TENANT, one.as_str())).await;
        assert!(found.len() <= 2, "{found:#?}");
    }
}
