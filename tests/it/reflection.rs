//! Every gRPC server describes itself to a client that knows nothing of it: `buf curl`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{External, Mesh, Storage};

/// The servers by their names in the ready file, with a service of each and a call to it that is answered.
const SERVERS: [(&str, &str, &str, &str); 3] = [
    (
        "scheduler",
        "binnacle.scheduler.v1.SchedulerService",
        "ListOperations",
        r#"{"page_size": 5}"#,
    ),
    (
        "director",
        "binnacle.director.v1.DirectorService",
        "Finalize",
        "{}",
    ),
    (
        "executor",
        "binnacle.executor.v1.ExecutorService",
        "Execute",
        r#"{"hello": {"session_id": "01900000-0000-7000-8000-000000000000"}}"#,
    ),
];

/// `buf`, from where `./test` has put it, the path, or an npm project around this folder.
fn buf() -> PathBuf {
    if let Some(given) = std::env::var_os("BUF_BIN") {
        return given.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.extend(ancestors.map(|folder| folder.join("node_modules/.bin")));
    folders
        .into_iter()
        .map(|folder| folder.join("buf"))
        .find(|file| file.is_file())
        .expect("this test needs `buf`: `npm install @bufbuild/buf`, or name the program in BUF_BIN; ./test does both")
}

fn curl(reflection: &str, arguments: &[&str]) -> String {
    let output = Command::new(buf())
        .args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"])
        .args(["--timeout", "20s", "--reflect-protocol", reflection])
        .args(arguments)
        .output()
        .unwrap();
    let (said, error) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{arguments:?}: {said}{error}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grpc_server_can_be_listed_described_and_called_by_reflection() {
    let mesh = Mesh::up(Storage::Sqlite).await;
    for (name, service, method, request) in SERVERS {
        let base = format!("http://{}", mesh.address(name));
        for reflection in ["grpc-v1", "grpc-v1alpha"] {
            let services = curl(reflection, &["--list-services", &base]);
            for expected in [
                service,
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
            ] {
                assert!(
                    services.lines().any(|line| line == expected),
                    "{name}: {services}"
                );
            }
            let methods = curl(reflection, &["--list-methods", &base]);
            assert!(
                methods.contains(&format!("{service}/{method}")),
                "{name}: {methods}"
            );

            let describe = json!({"file_containing_symbol": service}).to_string();
            let url = format!("{base}/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
            let described = curl(reflection, &["-d", &describe, &url]);
            let described: Value = serde_json::from_str(&described).unwrap();
            let files = &described["fileDescriptorResponse"]["fileDescriptorProto"];
            assert!(files[0].is_string(), "{name}: {described}");

            curl(
                reflection,
                &["-d", request, &format!("{base}/{service}/{method}")],
            );
            let health = curl(
                reflection,
                &[&format!("{base}/grpc.health.v1.Health/Check")],
            );
            assert!(health.contains("SERVING"), "{name}: {health}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_can_be_started_and_followed_with_nothing_but_reflection() {
    let mesh = Mesh::up(Storage::Sqlite).await;
    let external = External::start().await;
    external.script("/ok/*", [crate::support::Answer::ok()]);
    let gateway = mesh.gateway();
    let webhook = external.sync("UNREGISTER_APPLICATION", "/ok");
    let application = gateway.register("by-reflection", json!([webhook])).await;
    let accept = json!({
        "tenant": "3e64ebae-38b5-46a0-b1ed-9ccee153a0ae",
        "operation_category": "unregisterApplication",
        "resource": {"type": "application", "id": application},
    });
    let url = format!(
        "http://{}/binnacle.director.v1.DirectorService/Accept",
        mesh.address("director")
    );
    let accepted = curl("grpc-v1", &["-d", &accept.to_string(), &url]);
    let accepted: Value = serde_json::from_str(&accepted).unwrap();
    let operation = accepted["operationId"].as_str().unwrap();
    let told = gateway.end_of(&format!("/operations/{operation}")).await;
    assert_eq!(told["status"], "SUCCEEDED", "{told}");

    let url = format!(
        "http://{}/binnacle.scheduler.v1.SchedulerService/ListAttempts",
        mesh.address("scheduler")
    );
    let attempts = curl(
        "grpc-v1",
        &["-d", &json!({"operation_id": operation}).to_string(), &url],
    );
    let attempts: Value = serde_json::from_str(&attempts).unwrap();
    assert_eq!(
        attempts["attempts"][0]["result"], "ATTEMPT_RESULT_SUCCEEDED",
        "{attempts}"
    );
}
