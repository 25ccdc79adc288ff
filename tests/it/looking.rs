//! Looking at operations from the command line.

use serde_json::{Value, json};

use crate::support::{Answer, External, Gateway, Mesh, Storage, run};

/// A mesh with one operation that succeeded and one that failed, newest last.
struct Told {
    mesh: Mesh,
    succeeded: String,
    failed: String,
    _external: External,
}

impl Told {
    async fn new() -> Self {
        let mesh = Mesh::up(Storage::Sqlite).await;
        let external = External::start().await;
        let polls = [
            Answer::status("IN_PROGRESS"),
            Answer::status("IN_PROGRESS"),
            Answer::status("SUCCEEDED"),
        ];
        external.script("/good/*", [Answer::accepted()]);
        let gateway = mesh.gateway();
        let good = gateway
            .register(
                "good",
                json!([external.asynchronous("UNREGISTER_APPLICATION", "/good")]),
            )
            .await;
        external.script(&format!("/good/{good}/status"), polls);
        let succeeded = end(&gateway, &good).await;
        let bad = gateway
            .register(
                "bad",
                json!([external.asynchronous("UNREGISTER_APPLICATION", "/bad")]),
            )
            .await;
        external.script(&format!("/bad/{bad}"), [Answer::accepted()]);
        let refusal = r#"{"status": "FAILED", "error": "there are invoices left"}"#;
        external.script(&format!("/bad/{bad}/status"), [Answer::new(200, refusal)]);
        let failed = end(&gateway, &bad).await;
        Self {
            mesh,
            succeeded,
            failed,
            _external: external,
        }
    }

    /// What `operations ARGUMENTS` prints, and its exit status.
    fn ask(&self, arguments: &[&str]) -> (String, i32) {
        let scheduler = self.mesh.address("scheduler").to_string();
        let mut line = vec!["operations"];
        line.extend(arguments);
        line.extend(["--scheduler-addr", &scheduler]);
        let output = run(&line);
        let mut said = String::from_utf8(output.stdout).unwrap();
        said.push_str(&String::from_utf8(output.stderr).unwrap());
        (said, output.status.code().unwrap())
    }

    fn ask_json(&self, arguments: &[&str]) -> Value {
        let mut arguments = arguments.to_vec();
        arguments.extend(["--output", "json"]);
        let (said, status) = self.ask(&arguments);
        assert_eq!(status, 0, "{said}");
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

/// Unregisters an application, waits for the end of that, and gives the operation's id.
async fn end(gateway: &Gateway, application: &str) -> String {
    let accepted = gateway.start("unregisterApplication", application).await;
    gateway.end_of(&accepted.own_location()).await;
    accepted.operation
}

fn ids(page: &Value) -> Vec<&str> {
    let operations = page["operations"].as_array().unwrap();
    operations
        .iter()
        .map(|operation| operation["operation_id"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_listed_filtered_and_paged() {
    let told = Told::new().await;
    let (table, status) = told.ask(&["list"]);
    assert_eq!(status, 0, "{table}");
    let rows: Vec<_> = table.lines().skip(1).collect();
    assert!(
        rows[0].contains(&told.failed) && rows[0].contains("FAILED"),
        "{table}"
    );
    assert!(
        rows[1].contains(&told.succeeded) && rows[1].contains("SUCCEEDED"),
        "{table}"
    );

    assert_eq!(
        ids(&told.ask_json(&["list"])),
        [&told.failed, &told.succeeded]
    );
    assert_eq!(
        ids(&told.ask_json(&["list", "--state", "failed"])),
        [&told.failed]
    );
    let nobody = "00000000-0000-4000-8000-000000000000";
    assert!(ids(&told.ask_json(&["list", "--resource", nobody])).is_empty());
    assert_eq!(
        told.ask(&["list", "--tenant", nobody]),
        ("no operations\n".to_owned(), 0)
    );

    let first = told.ask_json(&["list", "--limit", "1"]);
    assert_eq!(ids(&first), [&told.failed]);
    let page = first["next_page_token"].as_str().unwrap();
    let second = told.ask_json(&["list", "--limit", "1", "--page", page]);
    assert_eq!(ids(&second), [&told.succeeded]);
    let (said, status) = told.ask(&["list", "--page", "no such page"]);
    assert_eq!(status, 1, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_shown_with_all_that_happened_to_it() {
    let told = Told::new().await;
    let (text, status) = told.ask(&["get", &told.succeeded]);
    assert_eq!(status, 0, "{text}");
    for part in [
        "accepted: unregisterApplication",
        "call 1",
        "202, accepted",
        "(2 times, until",
        "ended",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let (text, _) = told.ask(&["get", &told.failed]);
    assert!(text.contains("there are invoices left"), "{text}");

    let detail = told.ask_json(&["get", &told.succeeded]);
    assert_eq!(detail["status"]["phase"], "SUCCEEDED");
    assert_eq!(detail["request_object"]["Application"]["name"], "good");
    let attempts = detail["attempts"].as_array().unwrap();
    let results: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["result"].as_str().unwrap())
        .collect();
    assert_eq!(results, ["ACCEPTED", "IN_PROGRESS", "SUCCEEDED"]);

    let (said, status) = told.ask(&["get", "01890000-0000-7000-8000-000000000000"]);
    assert_eq!(status, 1, "{said}");
    assert!(said.starts_with("error: "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_an_operation_ends_with_it_and_tells_how() {
    let told = Told::new().await;
    let (said, status) = told.ask(&["watch", &told.succeeded]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("SUCCEEDED"), "{said}");
    let (said, status) = told.ask(&["watch", &told.failed]);
    assert_eq!(status, 1, "{said}");
    assert!(said.contains("there are invoices left"), "{said}");
    let (said, status) = told.ask(&["watch", "01890000-0000-7000-8000-000000000000"]);
    assert_eq!(status, 1, "{said}");
}

#[test]
fn the_demo_tells_its_story_and_ends_well() {
    let output = run(&["demo"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{complaints}");
    for part in [
        "IN_PROGRESS",
        "SUCCEEDED",
        "gone from the registry",
        "ended",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    assert_eq!(complaints, "");
}
