use binnacle_boot::database::{Database, DatabaseUrl, Error, Migration, Options, begin_immediate};
use tempfile::TempDir;

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "things",
        sqlite: "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        postgres: "CREATE TABLE thing (id BIGINT PRIMARY KEY, name TEXT NOT NULL)",
    },
    Migration {
        version: 2,
        name: "two statements",
        sqlite: "CREATE TABLE other (id INTEGER); INSERT INTO thing VALUES (1, 'one');",
        postgres: "CREATE TABLE other (id BIGINT); INSERT INTO thing VALUES (1, 'one');",
    },
];

async fn embedded(directory: &TempDir) -> Result<Database, Error> {
    let url = DatabaseUrl::Sqlite(directory.path().join("data"));
    Database::open(&url, "registry", Options::default()).await
}

pub(crate) async fn things(database: &Database) -> i64 {
    let count = "SELECT count(*) FROM thing";
    match database {
        Database::Sqlite(sqlite) => sqlx::query_scalar(count).fetch_one(&sqlite.read).await,
        Database::Postgres(pool) => sqlx::query_scalar(count).fetch_one(pool).await,
    }
    .unwrap()
}

#[tokio::test]
async fn a_second_opening_of_the_same_file_is_refused_with_its_name() {
    let directory = TempDir::new().unwrap();
    let first = embedded(&directory).await.unwrap();
    let refused = embedded(&directory).await.unwrap_err();
    assert!(
        refused.to_string().contains("data/registry.db"),
        "{refused}"
    );
    first.close().await;
    drop(first);
    embedded(&directory).await.unwrap();
}

#[tokio::test]
async fn migrations_run_once() {
    let directory = TempDir::new().unwrap();
    let database = embedded(&directory).await.unwrap();
    database.migrate("registry", MIGRATIONS).await.unwrap();
    database.migrate("registry", MIGRATIONS).await.unwrap();
    assert_eq!(things(&database).await, 1);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    const BROKEN: &[Migration] = &[
        MIGRATIONS[0],
        Migration {
            version: 2,
            name: "broken",
            sqlite: "CREATE TABEL x",
            postgres: "",
        },
    ];
    let directory = TempDir::new().unwrap();
    let database = embedded(&directory).await.unwrap();
    let failed = database.migrate("registry", BROKEN).await.unwrap_err();
    assert!(
        matches!(failed, Error::Migration { version: 2, .. }),
        "{failed}"
    );
    database.migrate("registry", MIGRATIONS).await.unwrap();
    assert_eq!(things(&database).await, 1);
}

#[tokio::test]
async fn a_commit_is_durable_and_readers_see_it() {
    let directory = TempDir::new().unwrap();
    let database = embedded(&directory).await.unwrap();
    database.migrate("registry", MIGRATIONS).await.unwrap();
    let write = database.sqlite().unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(write)
        .await
        .unwrap();
    assert_eq!(synchronous, 2, "FULL");
    let mut transaction = begin_immediate(write).await.unwrap();
    sqlx::query("INSERT INTO thing VALUES (2, 'two')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(things(&database).await, 1);
    transaction.commit().await.unwrap();
    assert_eq!(things(&database).await, 2);
}

#[tokio::test]
async fn the_reading_connections_cannot_write() {
    let directory = TempDir::new().unwrap();
    let database = embedded(&directory).await.unwrap();
    let Database::Sqlite(sqlite) = &database else {
        unreachable!()
    };
    sqlx::query("CREATE TABLE x (id INTEGER)")
        .execute(&sqlite.read)
        .await
        .unwrap_err();
    database.ping().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("data");
    std::fs::write(&file, "").unwrap();
    let refused = embedded(&directory).await.unwrap_err();
    assert!(
        refused.to_string().contains(file.to_str().unwrap()),
        "{refused}"
    );
}
