//! How the databases go about the statements: by an index, whether the tables are empty or full.

use binnacle_boot::{
    Shutdown,
    database::{Database, DatabaseUrl, Options},
};
use binnacle_test_support::{Postgres, Scratch, scratch};
use prometheus::Registry;
use sqlx::{AssertSqlSafe, PgPool, Row as _, SqlitePool};
use uuid::Uuid;

use super::{
    MIGRATIONS, SCHEMA, SETTINGS, Session, Store,
    list::{self, Filter, Phase},
    statement,
};

const ROWS: i64 = 20_000;
/// Pages for four operations: some for each key in each index.
const FEW: i64 = 100;

async fn open(url: DatabaseUrl) -> Database {
    let options = Options {
        settings: SETTINGS,
        ..Options::default()
    };
    let database = Database::open(&url, SCHEMA, options).await.unwrap();
    database.migrate(SCHEMA, MIGRATIONS).await.unwrap();
    database
}

/// Statements with their names: those of files and those that are put together.
fn statements(written: Vec<(&'static str, &'static str)>) -> Vec<(String, String)> {
    let written = written
        .into_iter()
        .map(|(name, sql)| (name.to_owned(), sql.to_owned()));
    let id = Some(Uuid::nil());
    let filters = [
        Filter::default(),
        Filter {
            resource: id,
            ..Filter::default()
        },
        Filter {
            tenant: id,
            ..Filter::default()
        },
        Filter {
            tenant: id,
            resource: id,
            ..Filter::default()
        },
        Filter {
            phase: Phase::Failed,
            ..Filter::default()
        },
        Filter {
            phase: Phase::Succeeded,
            tenant: id,
            ..Filter::default()
        },
        Filter {
            phase: Phase::InProgress,
            ..Filter::default()
        },
    ];
    let composed = filters.map(|filter| (format!("{filter:?}"), list::sql(&filter)));
    written.chain(composed).collect()
}

async fn sqlite_plan(pool: &SqlitePool, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::raw_sql(sql).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

async fn check_sqlite(pool: &SqlitePool) {
    // What a statement calls the tables that grow.
    let tables = ["operation", "operation_done", "attempt", "o", "d", "c", "a"];
    for (name, sql) in statements(statement::sqlite()) {
        let parts = sql.split(";\n").filter(|part| !part.trim().is_empty());
        for part in parts {
            for step in sqlite_plan(pool, part).await {
                let scanned = step.strip_prefix("SCAN ").unwrap_or_default();
                let table = scanned.split(' ').next().unwrap_or_default();
                assert!(
                    !tables.contains(&table),
                    "{name} reads a whole table: {step}"
                );
            }
        }
    }
}

#[tokio::test]
async fn on_sqlite_no_statement_reads_a_whole_table() {
    let scratch: Scratch = scratch();
    let database = open(DatabaseUrl::Sqlite(scratch.path().to_owned())).await;
    let pool = database.sqlite().unwrap();
    check_sqlite(pool).await;
    let fill = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
         INSERT INTO operation
         SELECT randomblob(16), randomblob(16), 'application', randomblob(16), n % 10, '{{}}', '[]', NULL, 1, 1,
            zeroblob(16), 0, n, n, n FROM n;
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})
         INSERT INTO operation_done
         SELECT randomblob(16), randomblob(16), 'application', randomblob(16), '{{}}', '[]', '', 1, 1, 1, n, n FROM n;"
    );
    sqlx::raw_sql(AssertSqlSafe(fill))
        .execute(pool)
        .await
        .unwrap();
    check_sqlite(pool).await;
}

#[tokio::test]
async fn on_sqlite_what_every_operation_passes_fills_no_table_of_its_own() {
    let scratch: Scratch = scratch();
    let database = open(DatabaseUrl::Sqlite(scratch.path().to_owned())).await;
    let pool = database.sqlite().unwrap();
    let passed = ["save", "attempt", "end", "ended", "close", "record"];
    let mut seen = 0;
    for (name, sql) in statement::sqlite() {
        if !passed.contains(&name) {
            continue;
        }
        let explain = AssertSqlSafe(format!("EXPLAIN {sql}"));
        let steps = sqlx::raw_sql(explain).fetch_all(pool).await.unwrap();
        let opcodes = steps.iter().map(|step| step.get::<String, _>("opcode"));
        assert!(
            opcodes.clone().all(|opcode| opcode != "OpenEphemeral"),
            "{name}: {:?}",
            opcodes.collect::<Vec<_>>()
        );
        seen += 1;
    }
    assert_eq!(seen, passed.len());
}

async fn postgres_plan(pool: &PgPool, sql: &str) -> Vec<String> {
    let count = (1..=40)
        .rev()
        .find(|n| sql.contains(&format!("${n}")))
        .unwrap();
    let nulls = vec!["NULL"; count].join(", ");
    let mut connection = pool.acquire().await.unwrap();
    let prepare = format!("SET plan_cache_mode = force_generic_plan; PREPARE p AS {sql}");
    sqlx::raw_sql(AssertSqlSafe(prepare))
        .execute(&mut *connection)
        .await
        .unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE p({nulls})"));
    let rows = sqlx::raw_sql(explain)
        .fetch_all(&mut *connection)
        .await
        .unwrap();
    sqlx::raw_sql("DEALLOCATE p; RESET plan_cache_mode")
        .execute(&mut *connection)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn check_postgres(pool: &PgPool) {
    for (name, sql) in statements(statement::postgres()) {
        let plan = postgres_plan(pool, &sql).await;
        for step in &plan {
            let scans = ["operation", "operation_done", "attempt"]
                .iter()
                .any(|table| step.contains(&format!("Seq Scan on {table} ")));
            assert!(!scans, "{name} reads a whole table:\n{}", plan.join("\n"));
        }
    }
}

#[tokio::test]
async fn on_postgres_no_statement_reads_a_whole_table() {
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let pool = database.postgres().unwrap();
    check_postgres(pool).await;
    let fill = format!(
        "INSERT INTO operation
         SELECT gen_random_uuid(), gen_random_uuid(), 'application', gen_random_uuid(), n % 10, '{{}}', '[]', NULL,
            1, 1, '00000000-0000-0000-0000-000000000000', 0, n, n, n FROM generate_series(1, {ROWS}) AS n;
         INSERT INTO operation_done
         SELECT gen_random_uuid(), gen_random_uuid(), 'application', gen_random_uuid(), '{{}}', '[]', '', true, 1, 1,
            n, n FROM generate_series(1, {ROWS}) AS n;
         ANALYZE;"
    );
    sqlx::raw_sql(AssertSqlSafe(fill))
        .execute(pool)
        .await
        .unwrap();
    check_postgres(pool).await;
}

/// A batch that saves `count` operations from `first` on, with a try of each, releases the next ones, ends those after
/// them and records as many others, in the words of SQL.
fn batch(first: u128, count: u128) -> String {
    const ID: &str = "id";
    const NEW: u128 = 1 << 64;
    let other = Uuid::max().to_string();
    let kinds: [(u128, Vec<&str>); 5] = [
        (first, vec![ID, "1", "1", "[]", "null", "null"]),
        (
            first,
            vec![
                ID, "1", "1", ID, "1", "1", "x", "x", "1", "1", "null", "x", "x", "x", "null",
            ],
        ),
        (first + count, vec![ID, "1", &other, "1"]),
        (first + 2 * count, vec![ID, "1", "x", "1"]),
        (
            NEW,
            vec![
                ID,
                &other,
                "application",
                ID,
                "1",
                "x",
                "[]",
                "0",
                &other,
                "1",
            ],
        ),
    ];
    let list = |first: u128, value: &str| {
        let values: Vec<_> = (first..first + count)
            .map(|n| value.replace(ID, &Uuid::from_u128(n).to_string()))
            .collect();
        format!("'{{{}}}'", values.join(","))
    };
    let lists: Vec<_> = kinds
        .iter()
        .flat_map(|(first, values)| values.iter().map(|value| list(*first, value)))
        .collect();
    format!("SELECT * FROM write_batch({}, 1)", lists.join(", "))
}

/// Adds an operation for each number, whose id is the number.
fn fill(first: i64, last: i64) -> String {
    format!(
        "INSERT INTO operation
         SELECT lpad(to_hex(n), 32, '0')::uuid, '{}', 'application', gen_random_uuid(), n % 10, repeat('x', 1000), '[]',
            NULL, 1, 1, '00000000-0000-0000-0000-000000000000', 0, n, n, n
         FROM generate_series({first}, {last}) AS n;",
        Uuid::max()
    )
}

/// Pages that the statement looks at.
async fn pages(connection: &mut sqlx::PgConnection, sql: &str) -> i64 {
    let explain = AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"));
    let row = sqlx::raw_sql(explain).fetch_one(connection).await.unwrap();
    let plan: serde_json::Value = serde_json::from_str(row.try_get_unchecked(0).unwrap()).unwrap();
    let count = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

#[tokio::test]
async fn on_postgres_a_batch_looks_at_few_pages_however_full_the_tables_became() {
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let pool = database.postgres().unwrap();
    let mut connection = super::sql::kept().take(pool).await.unwrap();
    // The first plans are those for empty tables.
    sqlx::raw_sql("VACUUM ANALYZE")
        .execute(&mut *connection)
        .await
        .unwrap();
    pages(&mut connection, &batch(0, 1)).await;
    let full = format!(
        "DELETE FROM operation;
         {}
         INSERT INTO operation_done
         SELECT gen_random_uuid(), gen_random_uuid(), 'application', gen_random_uuid(), '{{}}', '[]', '', true, 1, 1,
            n, n FROM generate_series(1, {ROWS}) AS n;",
        fill(1, ROWS)
    );
    sqlx::raw_sql(AssertSqlSafe(full))
        .execute(&mut *connection)
        .await
        .unwrap();
    let looked_at = pages(&mut connection, &batch(1, 1)).await;
    assert!(looked_at < FEW, "{looked_at} pages");
}

#[tokio::test]
async fn on_postgres_a_batch_looks_at_few_pages_when_nearly_all_that_was_there_is_gone() {
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let pool = database.postgres().unwrap();
    // Few rows, in order, at the end of many pages: what VACUUM finds of a table that turns over.
    let gone = format!(
        "{} DELETE FROM operation WHERE due_at < {ROWS} - 10",
        fill(1, ROWS)
    );
    sqlx::raw_sql(AssertSqlSafe(gone))
        .execute(pool)
        .await
        .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE operation")
        .execute(pool)
        .await
        .unwrap();
    let again = fill(ROWS + 1, ROWS + ROWS);
    sqlx::raw_sql(AssertSqlSafe(again))
        .execute(pool)
        .await
        .unwrap();
    let mut connection = super::sql::kept().take(pool).await.unwrap();
    // What a connection reads of the catalogue it reads once.
    pages(&mut connection, &batch(0, 1)).await;
    let first = u128::try_from(ROWS).unwrap() + 100;
    let looked_at = pages(&mut connection, &batch(first, 1)).await;
    assert!(looked_at < FEW, "{looked_at} pages");
}

#[tokio::test]
async fn on_postgres_a_batch_goes_over_its_lists_once_however_long_they_are() {
    const COUNT: u8 = 50;
    let server = Postgres::shared();
    let url = server.create_database();
    open(url.parse().unwrap()).await;
    let settings: Vec<_> = SETTINGS
        .iter()
        .map(|(name, value)| format!("SET {name} = {value};"))
        .collect();
    let statements = format!(
        "SET search_path = {SCHEMA}; {} SET plan_cache_mode = force_generic_plan; {} {}",
        settings.concat(),
        fill(1, 3 * i64::from(COUNT)),
        batch(1, COUNT.into())
    );
    let plans = server.explain(&url, &statements);
    let lists: Vec<_> = plans
        .lines()
        .filter(|step| step.contains("ProjectSet"))
        .collect();
    // What is saved, tried, released, ended and recorded.
    assert_eq!(lists.len(), 5, "{plans}");
    for list in lists {
        assert!(list.ends_with("loops=1)"), "{list} in\n{plans}");
    }
    let tried = format!("Tuples Inserted: {COUNT}");
    assert!(plans.contains(&tried), "{plans}");
}

#[tokio::test]
async fn on_postgres_the_list_of_what_a_session_holds_is_not_gone_over_for_each_operation() {
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let pool = database.postgres().unwrap();
    for statement in [statement::LOST, statement::UNDELIVERED] {
        let plan = postgres_plan(pool, statement.postgres).await.join("\n");
        assert!(plan.contains("hashed SubPlan"), "{plan}");
    }
}

#[tokio::test]
async fn on_postgres_a_session_is_renewed_by_one_statement() {
    const LAST: &str = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND state = 'idle' AND query LIKE 'UPDATE session%'";
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let (metrics, shutdown) = (Registry::new(), Shutdown::new());
    let store = Store::start(database.clone(), &metrics, &shutdown)
        .await
        .unwrap();
    let session = Uuid::from_u128(1);
    let hello = Session::Hello {
        session,
        instance: String::new(),
        lease: 1_000_000,
    };
    let renew = Session::Renew {
        session,
        lease: 1_000_000,
    };
    assert!(store.session(hello).await.unwrap());
    assert!(store.session(renew).await.unwrap());
    // A transaction would have ended with a statement of its own.
    let last: i64 = sqlx::query_scalar(LAST)
        .fetch_one(database.postgres().unwrap())
        .await
        .unwrap();
    assert_eq!(last, 1);
}
