use std::pin::pin;
use std::time::Duration;

use binnacle_boot::database::{Database, DatabaseUrl, Error, Kept, Options, begin};
use binnacle_test_support::{Durability, Postgres};
use futures::future::join_all;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, PgPool, Row};

use crate::database::{MIGRATIONS, things};

fn url(text: &str) -> DatabaseUrl {
    text.parse().unwrap()
}

#[tokio::test]
async fn replicas_may_open_and_migrate_at_the_same_time() {
    let url = url(&Postgres::shared().create_database());
    let starts = (0..5).map(|_| async {
        let database = Database::open(&url, "registry", Options::default())
            .await
            .unwrap();
        database.migrate("registry", MIGRATIONS).await.unwrap();
        things(&database).await
    });
    assert_eq!(join_all(starts).await, [1; 5]);
}

#[tokio::test]
async fn a_service_sees_its_own_schema_only() {
    let text = Postgres::shared().create_database();
    let registry = Database::open(&url(&text), "registry", Options::default())
        .await
        .unwrap();
    let scheduler = Database::open(&url(&text), "scheduler", Options::default())
        .await
        .unwrap();
    registry.migrate("registry", MIGRATIONS).await.unwrap();
    scheduler.migrate("scheduler", MIGRATIONS).await.unwrap();
    sqlx::query("DELETE FROM thing")
        .execute(scheduler.postgres().unwrap())
        .await
        .unwrap();
    assert_eq!(things(&registry).await, 1);
}

/// Polls `begin` so often, letting the server answer in between or not, and drops it.
async fn give_up_after<F: Future>(polls: usize, pause: Duration, begin: F) {
    let mut begin = pin!(begin);
    for _ in 0..polls {
        if futures::poll!(begin.as_mut()).is_ready() {
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[tokio::test]
async fn a_begin_whose_caller_goes_away_leaves_no_transaction_behind() {
    let text = Postgres::shared().create_database();
    let options = Options {
        connections: 1,
        ..Options::default()
    };
    let database = Database::open(&url(&text), "registry", options)
        .await
        .unwrap();
    let pool = database.postgres().unwrap();
    for polls in 0..8 {
        for pause in [Duration::ZERO, Duration::from_millis(3)] {
            give_up_after(polls, pause, pool.begin()).await;
            assert_is_outside_of_transactions(pool).await;
            give_up_after(polls, pause, begin(pool)).await;
            assert_is_outside_of_transactions(pool).await;
        }
    }
}

async fn assert_is_outside_of_transactions(pool: &PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let look = "SELECT now() = statement_timestamp()";
    let row = sqlx::raw_sql(look)
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    assert!(row.get::<bool, _>(0), "a transaction was left open");
}

#[tokio::test]
async fn sessions_that_became_read_only_are_dropped() {
    let text = Postgres::shared().create_database();
    let options = Options {
        connections: 1,
        ..Options::default()
    };
    let database = Database::open(&url(&text), "registry", options)
        .await
        .unwrap();
    let pool = database.postgres().unwrap();
    sqlx::query("SET default_transaction_read_only = on")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query("CREATE TABLE x (id BIGINT)")
        .execute(pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_waited_for_and_then_named() {
    let url = url("postgres://me:secret@127.0.0.1:1/x").with_patience(Duration::from_secs(1));
    let refused = Database::open(&url, "registry", Options::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::NoAnswer { .. }), "{refused:?}");
    assert!(
        refused.to_string().contains("postgres://127.0.0.1:1/x"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_refused_at_once() {
    let url = url(&Postgres::shared().url("nowhere"));
    let refused = Database::open(&url, "registry", Options::default())
        .await
        .unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_pool_recovers_from_a_restart_of_the_server() {
    let mut server = Postgres::start(Durability::Relaxed);
    let text = server.create_database();
    let database = Database::open(&url(&text), "registry", Options::default())
        .await
        .unwrap();
    database.ping().await.unwrap();
    server.stop();
    let lost = PgConnection::connect(&text).await;
    assert!(lost.is_err());
    server.resume();
    database.ping().await.unwrap();
}

/// A process that is frozen keeps its connections.
#[tokio::test]
async fn what_a_frozen_process_has_locked_is_free_within_seconds() {
    let url = url(&Postgres::shared().create_database());
    let open = || Database::open(&url, "registry", Options::default());
    let (frozen, other) = (open().await.unwrap(), open().await.unwrap());
    frozen.migrate("registry", MIGRATIONS).await.unwrap();
    let write = || sqlx::query("UPDATE thing SET id = id");
    let mut transaction = begin(frozen.postgres().unwrap()).await.unwrap();
    write().execute(&mut *transaction).await.unwrap();
    let waiting = write().execute(other.postgres().unwrap());
    let written = tokio::time::timeout(Duration::from_secs(15), waiting).await;
    written.unwrap().unwrap();
}

async fn text(connection: &mut PgConnection, sql: &'static str) -> String {
    let rows = sqlx::raw_sql(sql).fetch_all(connection).await.unwrap();
    let lines = rows.iter().map(|row| row.try_get_unchecked::<String, _>(0));
    lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
}

#[tokio::test]
async fn a_kept_connection_makes_its_plans_anew_as_tables_grow() {
    const WHO: &str = "SELECT pg_backend_pid()::text";
    const PLAN: &str = "EXPLAIN EXECUTE look (1)";
    let address = url(&Postgres::shared().create_database());
    let database = Database::open(&address, "registry", Options::default());
    let database = database.await.unwrap();
    let pool = database.postgres().unwrap();
    let mut kept = Kept::new("SET plan_cache_mode = force_generic_plan");
    let mut connection = kept.take(pool).await.unwrap();
    let table =
        "CREATE TABLE grows (id bigint PRIMARY KEY); INSERT INTO grows VALUES (0); ANALYZE grows;
         PREPARE look (bigint) AS SELECT FROM grows WHERE id = $1";
    sqlx::raw_sql(table)
        .execute(&mut *connection)
        .await
        .unwrap();
    let who = text(&mut connection, WHO).await;
    assert!(text(&mut connection, PLAN).await.contains("Seq Scan"));
    sqlx::raw_sql("INSERT INTO grows SELECT generate_series(1, 20000)")
        .execute(&mut *connection)
        .await
        .unwrap();
    let replanned = async {
        while text(&mut connection, PLAN).await.contains("Seq Scan") {
            kept.put(connection);
            tokio::time::sleep(Duration::from_millis(50)).await;
            connection = kept.take(pool).await.unwrap();
        }
        text(&mut connection, WHO).await
    };
    let now = tokio::time::timeout(Duration::from_secs(20), replanned).await;
    assert_eq!(now.unwrap(), who, "it is another connection");
}

#[tokio::test]
async fn the_settings_of_a_kept_connection_are_nobody_elses() {
    const SETTING: &str = "SHOW enable_seqscan";
    let address = url(&Postgres::shared().create_database());
    let options = Options {
        connections: 1,
        ..Options::default()
    };
    let database = Database::open(&address, "registry", options);
    let database = database.await.unwrap();
    let pool = database.postgres().unwrap();
    let mut kept = Kept::new("SET enable_seqscan = off");
    let mut connection = kept.take(pool).await.unwrap();
    assert_eq!(text(&mut connection, SETTING).await, "off");
    // As after an error.
    drop(connection);
    let mut other = pool.acquire().await.unwrap();
    assert_eq!(text(&mut other, SETTING).await, "on");
}
