//! Watching.

use std::time::Duration;

use binnacle_boot::database::DatabaseUrl;
use binnacle_boot::ids;
use binnacle_proto::common::v1 as common;
use binnacle_proto::scheduler::v1;
use binnacle_test_support::stop_clock;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, SqliteConnection};
use tokio::time::{advance, timeout};
use tonic::{Code, Streaming};

use crate::setting::{
    A_WHILE, Db, PATIENCE, Scheduler, conclusion, epoch_of, failure, id_of, progress, spec, success,
};

crate::on_both![
    a_watch_of_one_operation_ends_with_it,
    a_watch_of_an_unknown_operation_is_refused,
    a_watch_of_all_shows_every_change,
    a_basic_watch_says_phase_and_version_and_nothing_else,
    a_basic_watch_knows_the_end_of_what_was_concluded_before_it_began,
    a_view_that_there_is_not_is_refused,
];

async fn watch(
    scheduler: &Scheduler,
    id: &str,
    view: v1::OperationView,
) -> Streaming<v1::WatchOperationsResponse> {
    let request = v1::WatchOperationsRequest {
        operation_id: id.to_owned(),
        view: view.into(),
    };
    let watch = scheduler.client.clone().watch_operations(request).await;
    watch.unwrap().into_inner()
}

async fn a_watch_of_one_operation_ends_with_it(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let mut watch = watch(&scheduler, &id, v1::OperationView::Unspecified).await;
    let mut phases = Vec::new();
    let first = watch.message().await.unwrap().unwrap();
    phases.push(first.operations[0].status.as_ref().unwrap().phase());
    let grant = worker.grant().await;
    worker.finish(&grant, success()).await;
    while let Some(frame) = watch.message().await.unwrap() {
        phases.push(frame.operations[0].status.as_ref().unwrap().phase());
    }
    assert_eq!(phases.first(), Some(&common::Phase::InProgress));
    assert_eq!(phases.last(), Some(&common::Phase::Succeeded));
    assert!(phases.is_sorted());
}

/// Another way to the database, past the scheduler.
async fn beside(db: &Db) -> SqliteConnection {
    let DatabaseUrl::Sqlite(directory) = &db.url else {
        panic!("no file");
    };
    let file = SqliteConnectOptions::new().filename(directory.join("scheduler.db"));
    file.connect().await.unwrap()
}

async fn change(database: &mut SqliteConnection) {
    let change = sqlx::query("UPDATE operation SET version = version + 1");
    change.execute(database).await.unwrap();
}

#[tokio::test]
async fn a_watch_of_one_operation_looks_after_half_a_second_for_what_nobody_told_of() {
    let _stopped = stop_clock();
    let db = Db::sqlite();
    let scheduler = db.start().await;
    let id = scheduler.record(spec()).await;
    let mut watch = watch(&scheduler, &id, v1::OperationView::Basic).await;
    let mut version = async || {
        let frame = timeout(PATIENCE, watch.message()).await.unwrap();
        let operation = &frame.unwrap().unwrap().operations[0];
        operation.status.as_ref().unwrap().version
    };
    assert_eq!(version().await, 1);
    let mut database = beside(&db).await;
    for seen in [3, 5] {
        change(&mut database).await;
        advance(Duration::from_millis(490)).await;
        change(&mut database).await;
        advance(Duration::from_millis(20)).await;
        assert_eq!(version().await, seen);
    }
}

async fn a_watch_of_an_unknown_operation_is_refused(db: Db) {
    let scheduler = db.start().await;
    let request = v1::WatchOperationsRequest {
        operation_id: ids::v7().to_string(),
        ..Default::default()
    };
    let refused = scheduler.client.clone().watch_operations(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

async fn a_watch_of_all_shows_every_change(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let mut watch = watch(&scheduler, "", v1::OperationView::Full).await;
    let expected = vec![
        scheduler.record(spec()).await,
        scheduler.record(spec()).await,
    ];
    for _ in 0..2 {
        let grant = worker.grant().await;
        worker.finish(&grant, success()).await;
    }
    see_the_end_of(&mut watch, expected).await;
}

async fn see_the_end_of(
    watch: &mut Streaming<v1::WatchOperationsResponse>,
    mut expected: Vec<String>,
) {
    while !expected.is_empty() {
        let frame = watch.message().await.unwrap().unwrap();
        for operation in frame.operations {
            if operation.status.as_ref().unwrap().phase() == common::Phase::Succeeded {
                let id = operation.spec.unwrap().operation_id;
                expected.retain(|waiting| *waiting != id);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_shows_what_other_replicas_change() {
    let db = Db::postgres();
    let (here, there) = (db.start().await, db.start().await);
    let mut worker = there.worker(10).await;
    let mut full = watch(&here, "", v1::OperationView::Full).await;
    let mut basic = watch(&here, "", v1::OperationView::Basic).await;
    // Until the other replica knows that somebody watches, a change may be missed; so there are several.
    let seen = async {
        let full = full.message().await.unwrap().unwrap();
        assert!(
            full.operations
                .iter()
                .all(|o| o.spec.as_ref().unwrap().resource.is_some())
        );
        loop {
            let basic = basic.message().await.unwrap().unwrap();
            let last = basic.operations.last().unwrap().status.clone().unwrap();
            if last.phase() == common::Phase::Succeeded {
                break assert_eq!(last.version, 3);
            }
        }
    };
    let changing = async {
        loop {
            there.record(spec()).await;
            let grant = worker.grant().await;
            worker.finish(&grant, success()).await;
            worker.capacity(10).await;
            tokio::time::sleep(A_WHILE).await;
        }
    };
    tokio::select! {
        () = seen => {}
        () = changing => {}
        () = tokio::time::sleep(PATIENCE) => panic!("nothing is seen"),
    }
    let id = there.record(spec()).await;
    let mut watch = watch(&here, &id, v1::OperationView::Full).await;
    while id_of(&worker.grant().await) != id {}
    drop(worker);
    assert!(watch.message().await.unwrap().is_some());
}

async fn a_basic_watch_says_phase_and_version_and_nothing_else(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let mut all = watch(&scheduler, "", v1::OperationView::Basic).await;
    let id = scheduler.record(spec()).await;
    let mut one = watch(&scheduler, &id, v1::OperationView::Basic).await;
    let expected = |phase: common::Phase, version| common::Operation {
        spec: Some(common::OperationSpec {
            operation_id: id.clone(),
            ..Default::default()
        }),
        status: Some(common::OperationStatus {
            phase: phase.into(),
            version,
            ..Default::default()
        }),
    };
    let mut both_say = async |phase, version| {
        for watch in [&mut all, &mut one] {
            let frame = watch.message().await.unwrap().unwrap();
            assert_eq!(frame.operations, [expected(phase, version)]);
        }
    };
    both_say(common::Phase::InProgress, 1).await;
    let mut grant = worker.grant().await;
    assert!(worker.report(progress(&grant)).await.ok);
    both_say(common::Phase::InProgress, 2).await;
    grant
        .operation
        .as_mut()
        .unwrap()
        .status
        .as_mut()
        .unwrap()
        .version = 2;
    let concluded = conclusion(&grant, failure("no"));
    assert!(worker.report(concluded.clone()).await.ok);
    both_say(common::Phase::Finalizing, 3).await;
    // A worker that is no longer the holder changes nothing, and nothing is said.
    let stale = v1::Report {
        epoch: 7,
        ..concluded
    };
    assert!(!worker.report(stale).await.ok);
    assert!(worker.done(&id, epoch_of(&grant)).await.ok);
    both_say(common::Phase::Failed, 4).await;
    assert!(one.message().await.unwrap().is_none());
}

async fn a_basic_watch_knows_the_end_of_what_was_concluded_before_it_began(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    assert!(worker.report(conclusion(&grant, success())).await.ok);
    let mut all = watch(&scheduler, "", v1::OperationView::Basic).await;
    assert!(worker.done(&id, epoch_of(&grant)).await.ok);
    let frame = all.message().await.unwrap().unwrap();
    let status = frame.operations[0].status.as_ref().unwrap();
    assert_eq!(
        (status.phase(), status.version),
        (common::Phase::Succeeded, 3)
    );
}

async fn a_view_that_there_is_not_is_refused(db: Db) {
    let scheduler = db.start().await;
    let request = v1::WatchOperationsRequest {
        view: 99,
        ..Default::default()
    };
    let refused = scheduler.client.clone().watch_operations(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}
