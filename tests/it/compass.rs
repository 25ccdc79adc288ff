//! The recorded answers of the predecessor, played against the whole mesh.

use std::path::Path;

use crate::support::{Mesh, Storage, on_both_databases};

on_both_databases!(every_recorded_step_is_answered_as_the_predecessor_did);

async fn every_recorded_step_is_answered_as_the_predecessor_did(storage: Storage) {
    let mut mesh = Mesh::empty(storage).telling(["--default-tenant", "none"]);
    mesh.add_up().start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compass");
    let played = tokio::process::Command::new("python3")
        .arg(folder.join("play.py"))
        .args([
            "--url",
            &format!("http://{}/graphql", mesh.address("gateway")),
        ])
        .arg("--deviations")
        .arg(folder.join("deviations.json"))
        .kill_on_drop(true)
        .output();
    let limit = std::time::Duration::from_mins(4);
    let played = tokio::time::timeout(limit, played)
        .await
        .expect("the player is not done")
        .expect("this test needs python3");
    let said = String::from_utf8_lossy(&played.stdout);
    let error = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success(), "{said}{error}");
}
