//! `binnacle bench`: that it measures, says what is wrong, and leaves nothing behind. Of what it
//! measures, the counts are judged, and never the times.

use std::io::Read as _;
use std::process::{Child, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use binnacle_test_support::{Postgres, scratch};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{binnacle, run};

/// A short run on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(4);
const ASK_AGAIN: Duration = Duration::from_millis(50);

fn start(arguments: &[&str]) -> Child {
    let mut command = binnacle(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("not ended: {}", String::from_utf8_lossy(&output.stderr));
        }
        sleep(ASK_AGAIN);
    }
    child.wait_with_output().unwrap()
}

/// Databases of the server that a benchmark made.
fn leftovers(server: &Postgres) -> String {
    server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'binnacle_bench%'")
}

/// What an operation may cost, on whatever machine, with 64 clients: what it must not cost more than, and
/// as much again for small batches on a machine that is busy with other tests.
const COMMITS: f64 = 1.2;
const STATEMENTS: f64 = 6.0;
const ROW_UPDATES: f64 = 6.0;
const LOG_BYTES: f64 = 24_000.0;

#[test]
fn a_short_run_measures_both_databases_and_an_operation_costs_no_more_than_it_may() {
    let directory = scratch();
    let file = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (json, svg) = (file("bench.json"), file("bench.svg"));
    let output = end(start(&[
        "bench",
        "--quick",
        "--seconds",
        "3",
        "--applications",
        "2000",
        "--json",
        &json,
        "--svg",
        &svg,
        "--directory",
        directory.path().to_str().unwrap(),
    ]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("64 clients"), "{table}");
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        let rows = round["rows"].as_array().unwrap();
        assert!(rows.len() >= 4, "{round:#}");
        for row in rows {
            assert!(row["accepted_per_s"].as_f64().unwrap() > 0.0, "{row:#}");
            assert_eq!(row["failed"], 0, "{row:#}");
            assert_eq!(row["refused"], 0, "{row:#}");
        }
        let saturated = rows.iter().find(|row| row["label"] == "64 clients");
        check_costs(&round["database"], &saturated.unwrap()["costs"]);
        assert!(round["floors_after"]["single"].as_f64().unwrap() > 0.0);
    }
    let drawing = std::fs::read_to_string(svg).unwrap();
    assert!(drawing.starts_with("<svg") && drawing.contains("polyline"));
    let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn check_costs(database: &Value, costs: &Value) {
    let mut counters = vec![("commits", COMMITS)];
    if database == "postgres" {
        counters.push(("row_updates", ROW_UPDATES));
        counters.push(("wal_bytes", LOG_BYTES));
        // Counted where the server has the extension for it.
        if !costs["statements"].is_null() {
            counters.push(("statements", STATEMENTS));
        }
    }
    for (name, most) in counters {
        let each = costs[name].as_f64().unwrap();
        assert!(
            each > 0.0 && each <= most,
            "{name} on {database}: {costs:#}"
        );
    }
}

#[test]
fn a_run_that_is_interrupted_shows_what_it_has_and_leaves_nothing_behind() {
    let server = Postgres::start(binnacle_test_support::Durability::Relaxed);
    let url = server.url("postgres");
    let mut child = start(&[
        "bench",
        "w1",
        "--seconds",
        "1000",
        "--applications",
        "1000",
        "--database-url",
        &url,
    ]);
    let mut said = child.stderr.take().unwrap();
    let mut seen = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !String::from_utf8_lossy(&seen).contains("completed/s") {
        let mut bytes = [0; 256];
        let read = said.read(&mut bytes).unwrap();
        assert!(
            read > 0 && Instant::now() < deadline,
            "{}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend_from_slice(&bytes[..read]);
    }
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = end(child);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("single commits"), "{table}");
    assert_eq!(leftovers(&server), "");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for (arguments, named) in [
        (&["bench", "w8"][..], "w8"),
        (&["bench", "w1", "--rate", "0"], "above 0"),
        (&["bench", "w1", "--rate", "1e9"], "up to 200000"),
        (
            &["bench", "--database-url", "mysql://localhost/x"],
            "postgres://",
        ),
        (
            &["bench", "w9", "--database", "sqlite"],
            "W9 needs PostgreSQL",
        ),
        (&["bench", "--quick", "w2"], "--quick"),
        (&["bench", "--seconds", "0"], "--seconds"),
        (
            &["bench", "--directory", "/no/such/place"],
            "/no/such/place",
        ),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let output = run(&[
        "bench",
        "w1",
        "--database-url",
        "postgres://me:secret@127.0.0.1:1/x",
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("127.0.0.1:1/x"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}
