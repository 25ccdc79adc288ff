//! What the program says to mistakes, and how it starts and stops.

use std::fs;
use std::net::TcpListener;

use binnacle_test_support::scratch;

use crate::support::{Mesh, Process, Replicas, Storage, run};

/// Runs a command that is to fail with `status`, and gives what it said.
fn refused(arguments: &[&str], status: i32) -> String {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    said
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[test]
fn a_mistake_on_the_command_line_is_named_and_ends_with_status_2() {
    for (arguments, named) in [
        (&["up", "--no-such-flag"][..], "--no-such-flag"),
        (&["up", "--gateway-addr", "localhost"], "give IP:PORT"),
        (&["up", "--gateway-addr", "127.0.0.1:65536"], "give IP:PORT"),
        (&["up", "--gateway-addr", "::1:80"], "give IP:PORT"),
        (&["up", "--default-tenant", "acme"], "give a UUID, or none"),
        (&["up", "--public-url", "nowhere"], "--public-url"),
        (
            &["up", "--database-url", "mysql://localhost/x"],
            "postgres://",
        ),
        (
            &["up", "--exchange-timeout", "30"],
            "give a number with its unit",
        ),
        (&["up", "--worker-capacity", "0"], "--worker-capacity"),
        (&["up", "--auth", "magic"], "magic"),
        (&["up", "--log", "!!"], "not a log filter"),
        (
            &["gateway", "--scheduler-addr", "nowhere"],
            "is not HOST:PORT",
        ),
        (&["operations", "get", "not-an-id"], "not-an-id"),
        (&["operations", "list", "--limit", "0"], "--limit"),
        (&["sail"], "sail"),
        (&[], "Usage"),
    ] {
        assert_says(&refused(arguments, 2), &[named]);
    }
}

#[test]
fn a_mistake_in_the_configuration_file_is_named_with_file_and_line() {
    let directory = scratch();
    let file = directory.path().join("binnacle.toml");
    let path = file.to_str().unwrap();
    for (text, named) in [
        ("\nlisten = 1\n", "binnacle.toml:2: unknown key listen"),
        ("log-format = \"loud\"", "binnacle.toml:1: log-format"),
        ("gateway-addr = ", "is not TOML"),
        ("data-dir = \"a\"\ndata-dir = \"b\"", "duplicate key"),
    ] {
        fs::write(&file, text).unwrap();
        assert_says(&refused(&["up", "--config", path], 2), &[named]);
    }
    fs::remove_file(&file).unwrap();
    assert_says(
        &refused(&["up", "--config", path], 2),
        &["cannot read", path],
    );
}

#[test]
fn without_authentication_only_loopback_is_served() {
    for flag in [
        "--gateway-addr",
        "--director-addr",
        "--scheduler-addr",
        "--executor-addr",
    ] {
        let free = "127.0.0.1:0";
        let mut arguments = vec!["up", flag, "0.0.0.0:0"];
        for other in [
            "--gateway-addr",
            "--director-addr",
            "--scheduler-addr",
            "--executor-addr",
        ] {
            if other != flag {
                arguments.extend([other, free]);
            }
        }
        assert_says(
            &refused(&arguments, 2),
            &[flag, "not a loopback address", "--auth none"],
        );
    }
    assert_says(
        &refused(&["executor", "--executor-addr", "[::]:0"], 2),
        &["not a loopback"],
    );
}

#[test]
fn an_address_in_use_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["executor", "--executor-addr", &address], 1);
    assert_says(&said, &[&address, "--executor-addr", "in use"]);
}

#[test]
fn a_database_that_does_not_answer_is_waited_for_and_then_named() {
    let said = refused(
        &[
            "scheduler",
            "--scheduler-addr",
            "127.0.0.1:0",
            "--database-url",
            "postgres://me:secret@127.0.0.1:1/nowhere",
            "--database-patience",
            "2s",
        ],
        1,
    );
    assert_says(
        &said,
        &[
            "waiting for the database",
            "did not answer for 2 s",
            "127.0.0.1:1",
        ],
    );
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn a_second_process_on_the_same_files_is_refused_with_their_name() {
    let mut mesh = Mesh::up(Storage::Sqlite).await;
    let data = mesh.process("up").data();
    let data = data.to_str().unwrap();
    let said = refused(
        &[
            "scheduler",
            "--scheduler-addr",
            "127.0.0.1:0",
            "--data-dir",
            data,
        ],
        1,
    );
    assert_says(&said, &[data, ".db", "in use by another process"]);
    let free = "127.0.0.1:0";
    let gateway = [
        "gateway",
        "--gateway-addr",
        free,
        "--director-addr",
        free,
        "--data-dir",
        data,
    ];
    assert_says(
        &refused(&gateway, 1),
        &[data, ".db", "in use by another process"],
    );
    assert_eq!(mesh.process("up").ended(), None);
}

#[tokio::test]
async fn everything_stops_on_sigterm_and_starts_again_where_it_was() {
    let mut mesh = Mesh::up(Storage::Sqlite).await;
    let before = mesh.address("gateway");
    let status = mesh.process("up").terminate().await;
    assert!(status.success(), "{status}");
    mesh.process("up").start().await;
    assert_eq!(mesh.address("gateway"), before);
}

#[tokio::test]
async fn a_role_alone_announces_its_own_addresses() {
    let mut mesh = Mesh::roles(Storage::Postgres, Replicas::ONE_EACH).await;
    for role in ["gateway", "scheduler", "executor", "operations"] {
        let process = mesh.process(&format!("{role}-1"));
        assert!(process.bound(role).is_some(), "{role}");
        let status = process.terminate().await;
        assert!(status.success(), "{role}: {status}");
    }
}

#[tokio::test]
async fn a_ready_file_that_is_no_longer_true_is_removed_before_the_start() {
    let directory = scratch();
    let mut late = Process::new("late", directory.path(), "127.0.0.1")
        .listens(&["scheduler"])
        .arguments(["scheduler", "--database-url", "postgres://me@127.0.0.1:1/x"])
        .arguments(["--database-patience", "2s"]);
    let ready = late.ready_file();
    fs::write(&ready, "{}").unwrap();
    late.launch_over(&ready);
    assert!(!late.end().await.success());
    assert!(!ready.exists());
}

#[test]
fn asking_a_scheduler_that_is_not_there_says_what_to_do() {
    let said = refused(
        &["operations", "list", "--scheduler-addr", "127.0.0.1:1"],
        1,
    );
    assert_says(
        &said,
        &["no scheduler answers at 127.0.0.1:1", "--scheduler-addr"],
    );
}

#[test]
fn help_is_an_answer_and_no_mistake() {
    for arguments in [
        &["--help"][..],
        &["up", "--help"],
        &["operations", "--help"],
        &["--version"],
    ] {
        let output = run(arguments);
        assert!(output.status.success());
        assert!(!output.stdout.is_empty());
    }
}
