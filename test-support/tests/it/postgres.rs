use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use binnacle_test_support::{Durability, Postgres, until};

#[test]
fn every_database_is_fresh() {
    let server = Postgres::shared();
    let (one, other) = (server.create_database(), server.create_database());
    assert_ne!(one, other);
    let found = server.execute("SELECT count(*) FROM pg_database WHERE datname LIKE 'test_%'");
    assert!(found.trim().parse::<u32>().unwrap() >= 2, "{found}");
}

#[test]
fn a_server_for_measurements_is_durable_and_one_for_tests_is_not() {
    let durable = Postgres::start(Durability::Full);
    assert_eq!(durable.execute("SHOW fsync").trim(), "on");
    assert_eq!(durable.execute("SHOW synchronous_commit").trim(), "on");
    assert_eq!(Postgres::shared().execute("SHOW fsync").trim(), "off");
}

#[test]
fn plans_are_told_of_the_statements_inside_a_function_as_well() {
    let server = Postgres::shared();
    let url = server.create_database();
    let plans = server.explain(
        &url,
        "CREATE FUNCTION inner_rows() RETURNS bigint LANGUAGE plpgsql AS
         $$ BEGIN RETURN (SELECT count(*) FROM generate_series(1, 7)); END $$;
         SELECT inner_rows()",
    );
    assert!(
        plans.contains("Function Scan on generate_series"),
        "{plans}"
    );
    assert!(plans.contains("rows=7"), "{plans}");
}

#[test]
fn a_stopped_server_comes_back_with_its_data_on_the_same_port() {
    let mut server = Postgres::start(Durability::Relaxed);
    let (url, port) = (server.create_database(), server.port());
    server.stop();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    server.resume();
    assert_eq!(server.port(), port);
    let name = url.rsplit('/').next().unwrap();
    let found = server.execute(&format!(
        "SELECT count(*) FROM pg_database WHERE datname = '{name}'"
    ));
    assert_eq!(found.trim(), "1");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let server = Postgres::start(Durability::Relaxed);
    let (directory, port) = (server.socket_directory().to_owned(), server.port());
    drop(server);
    assert!(!directory.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// Only does something when the next test runs it in a process of its own.
#[test]
#[ignore = "the other half of `a_server_dies_with_a_killed_test_process`"]
fn hold_a_server_until_killed() {
    let server = Postgres::shared();
    println!("\nserver at {}", server.socket_directory().display());
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn a_server_dies_with_a_killed_test_process() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--nocapture", "hold_a_server_until_killed"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let directory = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("server at ").map(str::to_owned))
        .unwrap();
    assert!(Path::new(&directory).exists());
    process.kill().unwrap();
    process.wait().unwrap();
    until(Duration::from_secs(20), async || {
        !Path::new(&directory).exists()
    })
    .await;
}
