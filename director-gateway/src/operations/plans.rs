//! How the databases go about the data path's statements: by a key or an index, whether the tables are empty or full.

use binnacle_boot::{
    Shutdown,
    database::{Database, DatabaseUrl, Options},
};
use binnacle_test_support::{Postgres, scratch};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlitePool};
use uuid::Uuid;

use super::{lookup::DELETION, postgres, sqlite};
use crate::registry::Registry;

const ROWS: i64 = 20_000;
/// The tables that grow, as the statements call them too.
const TABLES: [&str; 7] = ["application", "outbox", "receipt", "webhook", "a", "o", "r"];
/// Pages for two operations: some for each key in each index.
const FEW: i64 = 100;

async fn open(url: DatabaseUrl) -> Database {
    let shutdown = Shutdown::new();
    let registry = Registry::open(&url, Options::default(), &shutdown).await;
    registry.unwrap().database().clone()
}

async fn check_sqlite(pool: &SqlitePool) {
    let statements = [
        sqlite::ACCEPT,
        sqlite::INSERT,
        sqlite::CLAIM,
        sqlite::FIND,
        sqlite::FINISH,
        sqlite::DELETE,
        sqlite::APPLY,
        sqlite::FORGET,
        sqlite::RECEIPT,
        DELETION,
    ];
    for statement in statements {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        for row in sqlx::raw_sql(explain).fetch_all(pool).await.unwrap() {
            let step: String = row.get("detail");
            let scanned = step.strip_prefix("SCAN ").unwrap_or_default();
            let table = scanned.split(' ').next().unwrap_or_default();
            assert!(
                !TABLES.contains(&table),
                "{statement} reads a whole table: {step}"
            );
        }
    }
}

#[tokio::test]
async fn on_sqlite_no_statement_of_the_data_path_reads_a_whole_table() {
    let scratch = scratch();
    let database = open(DatabaseUrl::Sqlite(scratch.path().to_owned())).await;
    let pool = database.sqlite().unwrap();
    check_sqlite(pool).await;
    let numbers = format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS})"
    );
    let fill = format!(
        "INSERT INTO tenant VALUES (zeroblob(16), 't', 't', 'account', 'p');
         {numbers}
         INSERT INTO application (id, tenant_id, name, normalised_name, ready, created_at, status_condition,
            status_timestamp)
         SELECT randomblob(16), zeroblob(16), n, n, 1, '', 'INITIAL', '' FROM n;
         {numbers}
         INSERT INTO outbox SELECT randomblob(16), zeroblob(16), 'application', randomblob(16), 'Delete', NULL, '', '',
            '', n, 0 FROM n;
         {numbers}
         INSERT INTO receipt (operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error,
            detail, finalized_at)
         SELECT randomblob(16), zeroblob(16), 'application', randomblob(16), 'Delete', 1, '', '', '' FROM n;
         ANALYZE;"
    );
    sqlx::raw_sql(AssertSqlSafe(fill))
        .execute(pool)
        .await
        .unwrap();
    check_sqlite(pool).await;
}

/// Adds an application and its operation for each number up to `count`; the first ones have fixed ids.
fn fill(count: i64) -> String {
    format!(
        "INSERT INTO tenant VALUES ('{tenant}', 't', 't', 'account', 'p') ON CONFLICT DO NOTHING;
         INSERT INTO application (id, tenant_id, name, normalised_name, ready, created_at, status_condition,
            status_timestamp, operation_id)
         SELECT lpad(to_hex(n), 32, '0')::uuid, '{tenant}', n, n, true, now(), 'INITIAL', now(),
            lpad(to_hex(n), 32, '0')::uuid FROM generate_series(1, {count}) AS n ON CONFLICT DO NOTHING;
         INSERT INTO outbox
         SELECT lpad(to_hex(n), 32, '0')::uuid, '{tenant}', 'application', lpad(to_hex(n), 32, '0')::uuid, 'Delete',
            'DELETED', '', '', '', n, 0 FROM generate_series(1, {count}) AS n ON CONFLICT DO NOTHING;
         INSERT INTO receipt (operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error,
            detail, finalized_at)
         SELECT gen_random_uuid(), '{tenant}', 'application', gen_random_uuid(), 'Delete', true, '', '', now()
         FROM generate_series(1, {count}) AS n;",
        tenant = Uuid::nil()
    )
}

/// What `explain` tells of a statement with these arguments.
async fn explain(
    connection: &mut PgConnection,
    options: &str,
    sql: &str,
    arguments: &str,
) -> Vec<String> {
    // Planned once, as the data path's statements are.
    let text =
        format!("PREPARE p AS {sql}; EXPLAIN {options} EXECUTE p({arguments}); DEALLOCATE p");
    let rows = sqlx::raw_sql(AssertSqlSafe(text))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.try_get_unchecked(0).unwrap())
        .collect()
}

async fn check_postgres(connection: &mut PgConnection) {
    let statements = [
        (postgres::CLAIM, "64, 60000000".to_owned()),
        (postgres::RECEIPTS, format!("'{{{}}}'", Uuid::nil())),
        (DELETION, format!("'{0}', '{0}'", Uuid::nil())),
    ];
    for (sql, arguments) in statements {
        let plan = explain(connection, "", sql, &arguments).await.join("\n");
        let reads_all = |table: &&str| plan.contains(&format!("Seq Scan on {table} "));
        assert!(!TABLES.iter().any(reads_all), "{plan}");
    }
}

/// Pages that a batch looks at which accepts one operation and applies the outcome of another.
async fn pages(connection: &mut PgConnection, applied: u128, accepted: u128) -> i64 {
    let ids = format!("'{{{}}}'", Uuid::from_u128(accepted));
    let tenant = format!("'{{{}}}'", Uuid::nil());
    let new = format!("'{{{}}}'", Uuid::from_u128(u128::MAX - accepted));
    let end = format!("'{{{}}}'", Uuid::from_u128(applied));
    let arguments = format!(
        "{ids}, '{{application}}', {tenant}, '{{1}}', {new}, '{{Delete}}', '{{DELETING}}', '{{null}}', '{{null}}', \
         '{{null}}', '{{FAILED}}', '{{x}}', '{{x}}', false, {end}, '{{true}}', '{{x}}', '{{x}}', '{{x}}', now()"
    );
    let told = explain(
        connection,
        "(ANALYZE, BUFFERS, FORMAT JSON)",
        postgres::WRITE,
        &arguments,
    )
    .await;
    let plan: serde_json::Value = serde_json::from_str(&told[0]).unwrap();
    let plan = &plan[0]["Plan"];
    assert_eq!(plan["Actual Rows"].as_f64(), Some(2.0), "{plan:#}");
    let count = |name: &str| plan[name].as_i64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

#[tokio::test]
async fn on_postgres_the_data_path_looks_at_few_pages_however_full_the_tables_became() {
    let url = Postgres::shared().create_database();
    let database = open(url.parse().unwrap()).await;
    let pool = database.postgres().unwrap();
    let mut connection = postgres::kept().take(pool).await.unwrap();
    check_postgres(&mut connection).await;
    let run = |sql: String| sqlx::raw_sql(AssertSqlSafe(sql));
    // Plans that are kept: those for tables of a row or two.
    run(fill(2)).execute(&mut *connection).await.unwrap();
    run("VACUUM ANALYZE".to_owned())
        .execute(&mut *connection)
        .await
        .unwrap();
    pages(&mut connection, 1, 2).await;
    run(fill(ROWS)).execute(&mut *connection).await.unwrap();
    let looked_at = pages(&mut connection, 3, 4).await;
    assert!(looked_at < FEW, "{looked_at} pages");
    check_postgres(&mut connection).await;
}
