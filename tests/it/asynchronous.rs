//! Asynchronous mutations from the GraphQL door to their end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::witness::{End, Promise, reconcile, recorded};
use crate::support::{Accepted, Answer, External, Mesh, PATIENCE, Storage, on_both_databases};

const UNREGISTER: &str = "UNREGISTER_APPLICATION";

on_both_databases!(
    every_kind_of_operation_comes_to_its_end_and_all_witnesses_agree,
    poll_urls_tell_how_far_an_operation_has_come,
    a_second_operation_is_refused_while_one_runs,
    a_webhook_that_never_succeeds_is_given_up_with_the_last_reason,
    an_applications_own_webhook_wins_over_its_templates,
    equal_answers_to_polls_are_one_row_of_the_ledger,
    mutations_through_variables_and_fragments_are_asynchronous_as_well,
);

fn promise(accepted: Accepted, end: End) -> Promise {
    Promise { accepted, end }
}

async fn every_kind_of_operation_comes_to_its_end_and_all_witnesses_agree(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/ok/*", [Answer::ok()]);
    external.script("/gone/*", [Answer::new(404, "{}")]);
    let broken = Answer::new(500, r#"{"error": "not today"}"#);
    external.script("/later/*", [broken.clone(), broken, Answer::ok()]);
    external.script("/jobs/*", [Answer::accepted()]);
    let mut promises = Vec::new();
    let sync = |path| json!([external.sync(UNREGISTER, path)]);
    for (name, webhooks, mutation, end) in [
        ("none", json!([]), "unregisterApplication", End::Removed),
        ("sync", sync("/ok"), "unregisterApplication", End::Removed),
        ("gone", sync("/gone"), "unregisterApplication", End::Removed),
        (
            "later",
            sync("/later"),
            "unregisterApplication",
            End::Removed,
        ),
        ("unpair", sync("/ok"), "unpairApplication", End::Initial),
        (
            "unpair-gone",
            sync("/gone"),
            "unpairApplication",
            End::Initial,
        ),
    ] {
        let application = gateway.register(name, webhooks).await;
        promises.push(promise(gateway.start(mutation, &application).await, end));
    }
    for (name, mutation, last, end) in [
        (
            "job",
            "unregisterApplication",
            Answer::status("SUCCEEDED"),
            End::Removed,
        ),
        (
            "job-unpair",
            "unpairApplication",
            Answer::status("SUCCEEDED"),
            End::Initial,
        ),
        (
            "job-failed",
            "unregisterApplication",
            Answer::new(
                200,
                r#"{"status": "FAILED", "error": "artefacts are in use"}"#,
            ),
            End::Failed {
                error: "artefacts are in use",
                condition: "DELETE_FAILED",
            },
        ),
        (
            "job-unpair-failed",
            "unpairApplication",
            Answer::new(
                200,
                r#"{"status": "FAILED", "error": "artefacts are in use"}"#,
            ),
            End::Failed {
                error: "artefacts are in use",
                condition: "UNPAIR_FAILED",
            },
        ),
    ] {
        let webhook = external.asynchronous(UNREGISTER, "/jobs");
        let application = gateway.register(name, json!([webhook])).await;
        let polls = [Answer::status("IN_PROGRESS"), last];
        external.script(&format!("/jobs/{application}/status"), polls);
        promises.push(promise(gateway.start(mutation, &application).await, end));
    }
    let registers = json!([external.sync("REGISTER_APPLICATION", "/ok")]);
    let answer = gateway
        .try_register_async("made", &registers)
        .await
        .unwrap();
    promises.push(promise(
        Accepted::read(&answer).expect("accepted"),
        End::Created,
    ));
    reconcile(&mesh, &external, &promises).await;
}

async fn poll_urls_tell_how_far_an_operation_has_come(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/slow/*", [Answer::ok().after(Duration::from_secs(2))]);
    let webhook = external.sync(UNREGISTER, "/slow");
    let application = gateway.register("shop", json!([webhook])).await;
    let accepted = gateway.start("unregisterApplication", &application).await;
    let location = format!("{}/last_operation/application/{application}", gateway.base);
    assert_eq!(accepted.location, location);

    let going_on = gateway.get(&location).await.unwrap();
    assert!(going_on.headers().contains_key("retry-after"));
    let going_on: Value = going_on.json().await.unwrap();
    assert_eq!(going_on["status"], "IN_PROGRESS");
    assert_eq!(going_on["operation_type"], "Delete");
    assert_eq!(going_on["resource_id"], *application);

    let asked = Instant::now();
    let waited = gateway
        .get_with(&accepted.own_location(), ("prefer", "wait=20"))
        .await;
    assert!(!waited.headers().contains_key("retry-after"));
    let waited: Value = waited.json().await.unwrap();
    assert_eq!(waited["status"], "SUCCEEDED", "{waited}");
    assert!(
        asked.elapsed() < Duration::from_secs(15),
        "it waits no longer than needed"
    );
    let ended = gateway.poll(&location).await;
    assert_eq!(ended["status"], "SUCCEEDED");
    assert_eq!(ended["operation_type"], "Delete");

    let unknown = "/operations/01900000-0000-7000-8000-000000000000";
    assert_eq!(gateway.get(unknown).await.unwrap().status(), 404);
    reconcile(&mesh, &external, &[promise(accepted, End::Removed)]).await;
}

async fn a_second_operation_is_refused_while_one_runs(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/slow/*", [Answer::ok().after(Duration::from_secs(2))]);
    for (first, reason, end) in [
        (
            "unregisterApplication",
            "delete operation is in progress",
            End::Removed,
        ),
        (
            "unpairApplication",
            "another operation is in progress",
            End::Initial,
        ),
    ] {
        let webhook = external.sync(UNREGISTER, "/slow");
        let application = gateway.register(first, json!([webhook])).await;
        let accepted = gateway.start(first, &application).await;
        for second in ["unregisterApplication", "unpairApplication"] {
            for mode in ["ASYNC", "SYNC"] {
                let query =
                    format!("mutation ($id: ID!) {{ {second}(id: $id, mode: {mode}) {{ id }} }}");
                let refused = gateway
                    .try_ask(&query, json!({"id": application}))
                    .await
                    .unwrap();
                let error = &refused["errors"][0];
                let message = format!("Concurrent operation [reason={reason}]");
                assert_eq!(error["message"], *message, "{refused}");
                assert_eq!(error["extensions"]["error"], "ConcurrentOperation");
                assert_eq!(error["extensions"]["error_code"], 32);
                let named = error["extensions"].to_string();
                assert!(
                    named.contains(&accepted.operation),
                    "names the operation: {refused}"
                );
            }
        }
        reconcile(&mesh, &external, &[promise(accepted, end)]).await;
    }
}

async fn a_webhook_that_never_succeeds_is_given_up_with_the_last_reason(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script(
        "/broken/*",
        [Answer::new(500, r#"{"error": "out of order"}"#)],
    );
    external.script("/odd/*", [Answer::accepted()]);
    let mut promises = Vec::new();
    let timeout = End::Failed {
        error: "webhook timeout reached",
        condition: "DELETE_FAILED",
    };
    for webhook in [
        external.sync(UNREGISTER, "/broken"),
        external.asynchronous(UNREGISTER, "/odd"),
    ] {
        let mut webhook = webhook;
        webhook["timeout"] = 3.into();
        let name = format!("given-up-{}", promises.len());
        let application = gateway.register(&name, json!([webhook])).await;
        external.script(
            &format!("/odd/{application}/status"),
            [Answer::status("PONDERING")],
        );
        let accepted = gateway.start("unregisterApplication", &application).await;
        promises.push(promise(accepted, timeout.clone()));
    }
    for (promise, reason) in promises.iter().zip(["out of order", "PONDERING"]) {
        let own = gateway.end_of(&promise.accepted.own_location()).await;
        assert_eq!(own["error"], "webhook timeout reached", "{own}");
        let detail = own["error_detail"].as_str().unwrap_or_default();
        assert!(detail.contains(reason), "{own} tells {reason}");
    }
    reconcile(&mesh, &external, &promises).await;
}

async fn an_applications_own_webhook_wins_over_its_templates(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/template/*", [Answer::ok()]);
    external.script("/own/*", [Answer::ok()]);
    gateway
        .ask(
            "mutation ($in: ApplicationTemplateInput!) { createApplicationTemplate(in: $in) { id } }",
            json!({"in": {
                "name": "shop template (mesh)",
                "applicationInput": {"name": "{{name}}"},
                "placeholders": [{"name": "name"}],
                "accessLevel": "GLOBAL",
                "webhooks": [external.sync(UNREGISTER, "/template")],
            }}),
        )
        .await;
    let mut promises = Vec::new();
    for name in ["of-template", "of-its-own"] {
        let answer = gateway
            .ask(
                "mutation ($in: ApplicationFromTemplateInput!) { \
                 result: registerApplicationFromTemplate(in: $in) { id } }",
                json!({"in": {
                    "templateName": "shop template (mesh)",
                    "values": [{"placeholder": "name", "value": name}],
                }}),
            )
            .await;
        let application = answer["data"]["result"]["id"].as_str().unwrap().to_owned();
        if name == "of-its-own" {
            gateway
                .ask(
                    "mutation ($id: ID!, $in: WebhookInput!) { addWebhook(applicationID: $id, in: $in) { id } }",
                    json!({"id": application, "in": external.sync(UNREGISTER, "/own")}),
                )
                .await;
        }
        let accepted = gateway.start("unregisterApplication", &application).await;
        promises.push(promise(accepted, End::Removed));
    }
    reconcile(&mesh, &external, &promises).await;
    let called = |path: &str| {
        external
            .received(path)
            .iter()
            .map(|r| r.path.clone())
            .collect::<Vec<_>>()
    };
    let application = |index: usize| &promises[index].accepted.application;
    assert_eq!(
        called("/template"),
        [format!("/template/{}", application(0))]
    );
    assert_eq!(called("/own"), [format!("/own/{}", application(1))]);
}

async fn equal_answers_to_polls_are_one_row_of_the_ledger(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    external.script("/jobs/*", [Answer::accepted()]);
    let webhook = external.asynchronous(UNREGISTER, "/jobs");
    let application = gateway.register("polled", json!([webhook])).await;
    let in_progress = Answer::status("IN_PROGRESS");
    let polls = [
        in_progress.clone(),
        in_progress.clone(),
        in_progress,
        Answer::status("SUCCEEDED"),
    ];
    external.script(&format!("/jobs/{application}/status"), polls);
    let accepted = gateway.start("unregisterApplication", &application).await;
    let operation = accepted.operation.clone();
    reconcile(&mesh, &external, &[promise(accepted, End::Removed)]).await;

    let shown = tokio::process::Command::new(env!("CARGO_BIN_EXE_binnacle"))
        .args(["operations", "get", &operation, "--output", "json"])
        .args(["--scheduler-addr", &mesh.address("scheduler").to_string()])
        .output();
    let shown = tokio::time::timeout(PATIENCE, shown)
        .await
        .unwrap()
        .unwrap();
    assert!(
        shown.status.success(),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let rows: Vec<_> = shown["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([
                row["number"],
                row["count"],
                row["kind"],
                row["result"],
                row["status_code"]
            ])
        })
        .collect();
    let expected = [
        json!([1, 1, "CALL", "ACCEPTED", 202]),
        json!([2, 3, "POLL", "IN_PROGRESS", 200]),
        json!([5, 1, "POLL", "SUCCEEDED", 200]),
    ];
    assert_eq!(rows, expected, "{shown:#}");
    assert_eq!(shown["status"]["phase"], "SUCCEEDED");
    let keys: std::collections::BTreeSet<_> = external
        .received("/jobs")
        .iter()
        .map(|request| request.key().to_owned())
        .collect();
    assert_eq!(
        keys.len(),
        1,
        "the call and its polls are one piece of work"
    );
}

async fn mutations_through_variables_and_fragments_are_asynchronous_as_well(storage: Storage) {
    let (mesh, external) = (Mesh::up(storage).await, External::start().await);
    let gateway = mesh.gateway();
    let scheduler = mesh.scheduler();
    for (name, query) in [
        (
            "variable",
            "mutation ($id: ID!, $mode: OperationMode) { result: unregisterApplication(id: $id, mode: $mode) { id } }",
        ),
        (
            "fragment",
            "mutation ($id: ID!, $mode: OperationMode = ASYNC) { ...F } \
             fragment F on Mutation { result: unregisterApplication(id: $id, mode: $mode) { id } }",
        ),
    ] {
        let application = gateway.register(name, json!([])).await;
        let variables = json!({"id": application, "mode": "ASYNC"});
        let answer = gateway.ask(query, variables).await;
        let accepted = Accepted::read(&answer).unwrap_or_else(|| panic!("{name}: {answer}"));
        reconcile(&mesh, &external, &[promise(accepted, End::Removed)]).await;
        assert_eq!(recorded(&scheduler, &application).await.len(), 1, "{name}");
    }
}
