use std::time::Duration;

use binnacle_boot::database::{
    Database, DatabaseUrl, Options, Purpose, Sqlite, begin_immediate, failure,
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::database::{MIGRATIONS, things};

async fn open(directory: &TempDir) -> (Database, Sqlite) {
    let url = DatabaseUrl::Sqlite(directory.path().to_owned());
    let database = Database::open(&url, "registry", Options::default())
        .await
        .unwrap();
    database.migrate("registry", MIGRATIONS).await.unwrap();
    let Database::Sqlite(sqlite) = &database else {
        unreachable!()
    };
    let sqlite = sqlite.clone();
    (database, sqlite)
}

fn insert(connection: &Connection, id: i64) -> Result<usize, sqlx::Error> {
    let sql = "INSERT INTO thing VALUES (?1, 'x')";
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    statement.execute((id,)).map_err(failure)
}

/// What the thread that writes makes of it.
async fn transact<T: Send + 'static>(
    sqlite: &Sqlite,
    work: impl FnOnce(&Connection) -> Result<T, sqlx::Error> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let beside = sqlite.clone();
    let task = sqlite
        .tasks(Purpose::Write)
        .spawn(async move { beside.transact(work).await });
    task.await.unwrap_or(Err(sqlx::Error::PoolClosed))
}

/// What the thread that reads makes of it.
async fn look<T: Send + 'static>(
    sqlite: &Sqlite,
    work: impl FnOnce(&Connection) -> Result<T, sqlx::Error> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let beside = sqlite.clone();
    let task = sqlite
        .tasks(Purpose::Read)
        .spawn(async move { beside.look(work) });
    task.await.unwrap_or(Err(sqlx::Error::PoolClosed))
}

async fn insert_at_once(sqlite: &Sqlite, id: i64) -> Result<usize, sqlx::Error> {
    transact(sqlite, move |connection| insert(connection, id)).await
}

#[tokio::test]
async fn what_a_visit_to_the_thread_did_is_durable_and_read_by_others() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let settings = transact(&sqlite, |connection| {
        let ask = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let settings = (ask("synchronous"), ask("foreign_keys"));
        Ok((settings.0.map_err(failure)?, settings.1.map_err(failure)?))
    });
    assert_eq!(settings.await.unwrap(), (2, 1), "FULL, ON");
    assert_eq!(insert_at_once(&sqlite, 2).await.unwrap(), 1);
    assert_eq!(things(&database).await, 2);
}

#[tokio::test]
async fn a_statement_that_was_prepared_before_a_migration_is_good_after_it() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    insert_at_once(&sqlite, 2).await.unwrap();
    let change = "CREATE INDEX thing_name ON thing (name); ALTER TABLE other ADD COLUMN more TEXT";
    sqlx::raw_sql(change).execute(&sqlite.write).await.unwrap();
    insert_at_once(&sqlite, 3).await.unwrap();
    assert_eq!(things(&database).await, 3);
}

#[tokio::test]
async fn an_error_rolls_back_and_is_told_as_sqlx_would() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let twice = transact(&sqlite, |connection| {
        insert(connection, 2)?;
        insert(connection, 2)
    });
    let told = twice.await.unwrap_err();
    assert_eq!(things(&database).await, 1);
    sqlx::query("INSERT INTO thing VALUES (1, 'x')")
        .execute(&sqlite.write)
        .await
        .map(drop)
        .map_err(|by_sqlx| assert_eq!(by_sqlx.to_string(), told.to_string()))
        .unwrap_err();
    let told = told.into_database_error().unwrap();
    assert!(told.is_unique_violation(), "{told}");
    assert_eq!(told.code().as_deref(), Some("1555"));
}

#[tokio::test]
async fn a_panic_rolls_back_and_the_thread_goes_on() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let panicking = transact(&sqlite, |connection| -> Result<(), sqlx::Error> {
        insert(connection, 2)?;
        panic!("in the middle");
    });
    let told = panicking.await.unwrap_err();
    assert!(matches!(told, sqlx::Error::WorkerCrashed), "{told}");
    insert_at_once(&sqlite, 3).await.unwrap();
    assert_eq!(things(&database).await, 2);
}

#[tokio::test]
async fn who_looks_sees_what_is_committed_and_cannot_write_and_may_panic() {
    let directory = TempDir::new().unwrap();
    let (_database, sqlite) = open(&directory).await;
    let told = look(&sqlite, |connection| insert(connection, 2)).await;
    let told = told.unwrap_err().to_string();
    assert!(told.contains("readonly"), "{told}");
    let panicking = look(&sqlite, |_| -> Result<(), sqlx::Error> {
        panic!("in the middle")
    });
    let told = panicking.await.unwrap_err();
    assert!(matches!(told, sqlx::Error::WorkerCrashed), "{told}");
    insert_at_once(&sqlite, 2).await.unwrap();
    let count = look(&sqlite, |connection| {
        let count = "SELECT count(*) FROM thing";
        connection
            .query_row(count, (), |row| row.get::<_, i64>(0))
            .map_err(failure)
    });
    assert_eq!(count.await.unwrap(), 2);
}

#[tokio::test]
async fn a_task_that_is_aborted_leaves_no_transaction_open() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let (started, has_started) = oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let beside = sqlite.clone();
    let task = sqlite.tasks(Purpose::Write).spawn(async move {
        let work = move |connection: &Connection| {
            insert(connection, 2)?;
            let _ = started.send(());
            let _ = wait.recv();
            insert(connection, 3)
        };
        beside.transact(work).await
    });
    has_started.await.unwrap();
    task.abort();
    go_on.send(()).unwrap();
    // Waits for its turn, which comes when the work is done.
    let transaction = begin_immediate(&sqlite.write).await.unwrap();
    assert_eq!(things(&database).await, 3);
    transaction.rollback().await.unwrap();
    insert_at_once(&sqlite, 4).await.unwrap();
}

#[tokio::test]
async fn only_tasks_of_a_thread_use_its_connection() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let told = sqlite.transact(|connection| insert(connection, 2)).await;
    assert!(matches!(told, Err(sqlx::Error::Configuration(_))));
    let beside = sqlite.clone();
    let task = sqlite
        .tasks(Purpose::Write)
        .spawn(async move { beside.look(|connection| insert(connection, 2)) });
    let told = task.await.unwrap();
    assert!(matches!(told, Err(sqlx::Error::Configuration(_))));
    assert_eq!(things(&database).await, 1);
}

#[tokio::test]
async fn the_pool_and_the_thread_write_one_after_the_other() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let mut transaction = begin_immediate(&sqlite.write).await.unwrap();
    sqlx::query("INSERT INTO thing VALUES (2, 'x')")
        .execute(&mut *transaction)
        .await
        .unwrap();
    // Waits without looking: SQLite itself would say that it is busy after five seconds.
    let mut visit = Box::pin(insert_at_once(&sqlite, 3));
    tokio::time::timeout(Duration::from_millis(20), &mut visit)
        .await
        .unwrap_err();
    transaction.commit().await.unwrap();
    visit.await.unwrap();
    let visits = (0..100).map(|n| insert_at_once(&sqlite, 100 + n));
    let queries = (0..100).map(|n: i64| {
        let query = sqlx::query("INSERT INTO thing VALUES (?1, 'x')").bind(200 + n);
        query.execute(&sqlite.write)
    });
    let (visits, queries) = tokio::join!(
        futures::future::try_join_all(visits),
        futures::future::try_join_all(queries)
    );
    assert_eq!((visits.unwrap().len(), queries.unwrap().len()), (100, 100));
    assert_eq!(things(&database).await, 203);
}

#[tokio::test]
async fn an_abandoned_wait_for_the_pools_connection_takes_nobodys_turn() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    let (started, has_started) = oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let visit = transact(&sqlite, move |connection| {
        let _ = started.send(());
        let _ = wait.recv();
        insert(connection, 2)
    });
    let abandoned = async {
        has_started.await.unwrap();
        tokio::time::timeout(Duration::from_millis(20), sqlite.write.acquire())
            .await
            .unwrap_err();
        go_on.send(()).unwrap();
    };
    let (visited, ()) = tokio::join!(visit, abandoned);
    visited.unwrap();
    insert_at_once(&sqlite, 3).await.unwrap();
    drop(sqlite.write.acquire().await.unwrap());
    insert_at_once(&sqlite, 4).await.unwrap();
    assert_eq!(things(&database).await, 4);
}

#[tokio::test]
async fn after_closing_nothing_is_written_and_the_file_is_free() {
    let directory = TempDir::new().unwrap();
    let (database, sqlite) = open(&directory).await;
    database.close().await;
    let told = insert_at_once(&sqlite, 2).await.unwrap_err();
    assert!(matches!(told, sqlx::Error::PoolClosed), "{told}");
    drop((database, sqlite));
    let (database, _) = open(&directory).await;
    assert_eq!(things(&database).await, 1);
}
