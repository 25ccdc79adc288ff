//! What the real Compass Director answered, played against the gateway.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::Gateway;

/// Scenarios that need more than the gateway: operations that somebody carries out.
const MESH: &str = "15-async.json";

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_answers_what_compass_answered() {
    play(Gateway::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_answers_what_compass_answered() {
    play(Gateway::postgres().await).await;
}

async fn play(gateway: Gateway) {
    let url = gateway.serve().await;
    let played = tokio::task::spawn_blocking(move || player(&url))
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&played.stdout);
    assert!(
        played.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&played.stderr)
    );
}

fn player(url: &str) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compass");
    let mut player = Command::new("python3");
    player
        .arg(folder.join("play.py"))
        .args(["--url", url, "--only", &scenarios(&folder)]);
    let deviations = folder.join("deviations.json");
    player.arg("--deviations").arg(deviations).output().unwrap()
}

/// The names of all scenarios but those of the whole mesh.
fn scenarios(folder: &Path) -> String {
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.join("scenarios")).unwrap() {
        let path = file.unwrap().path();
        if !path.ends_with(MESH) {
            let text = std::fs::read_to_string(path).unwrap();
            let file: serde_json::Value = serde_json::from_str(&text).unwrap();
            for scenario in file["scenarios"].as_array().unwrap() {
                names.push(scenario["name"].as_str().unwrap().to_owned());
            }
        }
    }
    names.join(",")
}
