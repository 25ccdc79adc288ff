//! The audits of the GraphQL-over-HTTP specification, run by the official package.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http::Gateway;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/graphql-http");

#[tokio::test(flavor = "multi_thread")]
async fn every_audit_of_graphql_over_http_passes() {
    let audits = tokio::task::spawn_blocking(install).await.unwrap();
    let gateway = Gateway::start().await;
    let url = gateway.url("/graphql");
    let output = tokio::task::spawn_blocking(move || {
        run(Command::new("node").arg("audit.mjs").arg(url), &audits)
    });
    let output = output.await.unwrap();
    assert!(output.trim_end().ends_with("61 of 61"), "{output}");
}

/// Installs what the audits need beside the build's other products, once per lock file.
fn install() -> PathBuf {
    let lock = fs::read(Path::new(SOURCE).join("package-lock.json")).unwrap();
    let mut hasher = DefaultHasher::new();
    lock.hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("graphql-http-{:x}", hasher.finish()));
    if !folder.exists() {
        let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for file in ["package.json", "package-lock.json"] {
            fs::copy(Path::new(SOURCE).join(file), fresh.path().join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        let output = run(&mut npm, fresh.path());
        assert!(
            fresh.path().join("node_modules/graphql-http").exists(),
            "npm ci: {output}"
        );
        // Another test process may have been faster.
        drop(fs::rename(fresh.path(), &folder));
    }
    fs::copy(
        Path::new(SOURCE).join("audit.mjs"),
        folder.join("audit.mjs"),
    )
    .unwrap();
    folder
}

fn run(command: &mut Command, folder: &Path) -> String {
    let output = command
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!("{program}: {error}; the audits need the Debian packages nodejs and npm")
        });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}
