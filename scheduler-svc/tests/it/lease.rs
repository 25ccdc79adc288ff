//! Who holds what, and what becomes of it.

use std::collections::HashSet;
use std::time::Duration;

use binnacle_boot::ids;
use binnacle_proto::common::v1 as common;
use tonic::Code;

use crate::setting::{
    Db, Worker, conclusion, epoch_of, id_of, progress, spec, spec_of, status_of, success,
};

crate::on_both![
    what_nobody_had_room_for_is_granted_when_somebody_has,
    a_released_operation_is_granted_again_when_it_is_due,
    a_report_may_give_the_lease_back,
    goodbye_frees_leases_at_once,
    a_new_session_of_the_same_instance_frees_the_leases_of_the_old_one,
    an_expired_session_loses_its_operations,
    an_expired_lease_is_good_until_somebody_else_is_granted_the_operation,
    a_broken_stream_frees_nothing,
    a_grant_that_never_arrived_is_free_after_the_next_hello,
    a_grant_that_never_arrived_is_free_after_a_heartbeat_without_it,
    a_scheduler_that_starts_waits_a_lease_for_foreign_sessions,
    an_ended_session_may_not_come_back,
    a_stream_begins_with_hello,
    one_destination_does_not_fill_a_worker,
    a_concluded_operation_is_granted_with_its_outcome,
];

const SHORT: Duration = Duration::from_millis(900);

async fn what_nobody_had_room_for_is_granted_when_somebody_has(db: Db) {
    let scheduler = db.start().await;
    let mut recorded = HashSet::new();
    for number in 0..5 {
        let url = format!("http://system-{number}.example/");
        recorded.insert(scheduler.record(spec_of(ids::v4(), &url)).await);
    }
    let mut worker = scheduler.worker(2).await;
    let mut granted = HashSet::new();
    for _ in 0..2 {
        granted.insert(id_of(&worker.grant().await));
    }
    worker.expect_no_grant().await;
    worker.capacity(10).await;
    for _ in 0..3 {
        let grant = worker.grant().await;
        assert!(!grant.orphaned);
        assert_eq!((status_of(&grant).version, epoch_of(&grant)), (2, 1));
        granted.insert(id_of(&grant));
    }
    assert_eq!(granted, recorded);
}

async fn a_released_operation_is_granted_again_when_it_is_due(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let first = worker.grant().await;
    worker.release(&first, Duration::from_millis(700)).await;
    worker.expect_no_grant().await;
    let second = worker.grant().await;
    assert_eq!(id_of(&second), id);
    assert!(!second.orphaned);
    assert!(second.now_unix_micros >= first.now_unix_micros + 700_000);
    assert_eq!(epoch_of(&second), 2);
    assert!(!worker.report(conclusion(&first, success())).await.ok);
    worker.finish(&second, success()).await;
}

async fn a_report_may_give_the_lease_back(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let mut report = progress(&grant);
    report.webhooks[0].calls = 3;
    report.release_for = Some(crate::setting::span(Duration::from_millis(100)));
    assert!(worker.report(report).await.ok);
    let again = worker.grant().await;
    assert!(!again.orphaned);
    assert_eq!(status_of(&again).webhooks[0].calls, 3);
    worker.finish(&again, success()).await;
}

async fn goodbye_frees_leases_at_once(db: Db) {
    let scheduler = db.start().await;
    let mut first = scheduler.worker(10).await;
    scheduler.record(spec()).await;
    let id = id_of(&first.grant().await);
    let mut second = scheduler.worker(10).await;
    first.goodbye().await;
    let grant = second.grant().await;
    assert_eq!(id_of(&grant), id);
    assert!(grant.orphaned);
    assert_eq!(epoch_of(&grant), 2);
}

async fn a_new_session_of_the_same_instance_frees_the_leases_of_the_old_one(db: Db) {
    let scheduler = db.start().await;
    let mut old = scheduler.worker_of("one", &ids::v4().to_string(), 10).await;
    let id = scheduler.record(spec()).await;
    let held = old.grant().await;
    let mut new = scheduler.worker_of("one", &ids::v4().to_string(), 10).await;
    let grant = new.grant().await;
    assert_eq!(id_of(&grant), id);
    assert!(grant.orphaned);
    assert!(!old.report(conclusion(&held, success())).await.ok);
    let refused = old.heartbeat(None).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

async fn keep_alive(worker: &mut Worker, until: impl Fn(&Worker) -> bool) {
    while !until(worker) {
        worker.heartbeat(None).await.unwrap();
        tokio::time::sleep(SHORT / 5).await;
    }
}

async fn an_expired_session_loses_its_operations(db: Db) {
    let scheduler = db.start_with_lease(SHORT).await;
    let mut silent = scheduler.worker(10).await;
    let mut alive = scheduler.worker(0).await;
    scheduler.record(spec()).await;
    let held = silent.grant().await;
    alive.capacity(10).await;
    keep_alive(&mut alive, Worker::has_grant).await;
    let grant = alive.grant().await;
    assert_eq!(id_of(&grant), id_of(&held));
    assert!(grant.orphaned);
    assert!(!silent.report(conclusion(&held, success())).await.ok);
    alive.finish(&grant, success()).await;
}

async fn an_expired_lease_is_good_until_somebody_else_is_granted_the_operation(db: Db) {
    let scheduler = db.start_with_lease(SHORT).await;
    let mut worker = scheduler.worker(1).await;
    scheduler.record(spec()).await;
    let held = worker.grant().await;
    tokio::time::sleep(2 * SHORT).await;
    worker.finish(&held, success()).await;
    worker.heartbeat(None).await.unwrap();
}

async fn a_broken_stream_frees_nothing(db: Db) {
    let scheduler = db.start().await;
    let session = ids::v4().to_string();
    let mut worker = scheduler.worker_of("one", &session, 10).await;
    let id = scheduler.record(spec()).await;
    let held = worker.grant().await;
    drop(worker);
    let mut other = scheduler.worker(10).await;
    other.expect_no_grant().await;
    let mut back = scheduler
        .worker_with("one", &session, 10, &[&id])
        .await
        .unwrap();
    back.expect_no_grant().await;
    back.finish(&held, success()).await;
}

async fn a_grant_that_never_arrived_is_free_after_the_next_hello(db: Db) {
    let scheduler = db.start_with_lease(SHORT).await;
    let session = ids::v4().to_string();
    let mut worker = scheduler.worker_of("one", &session, 10).await;
    let id = scheduler.record(spec()).await;
    let lost = worker.grant().await;
    let kept = scheduler.record(spec()).await;
    worker.grant().await;
    tokio::time::sleep(SHORT / 2).await;
    drop(worker);
    let mut back = scheduler
        .worker_with("one", &session, 10, &[&kept])
        .await
        .unwrap();
    let grant = back.grant().await;
    assert_eq!(id_of(&grant), id);
    assert!(grant.orphaned);
    assert!(!back.report(conclusion(&lost, success())).await.ok);
}

async fn a_grant_that_never_arrived_is_free_after_a_heartbeat_without_it(db: Db) {
    let scheduler = db.start_with_lease(SHORT).await;
    let mut worker = scheduler.worker(10).await;
    let kept = scheduler.record(spec()).await;
    let lost = scheduler.record(spec()).await;
    worker.grant().await;
    worker.grant().await;
    while !worker.has_grant() {
        worker.heartbeat(Some(vec![kept.clone()])).await.unwrap();
        tokio::time::sleep(SHORT / 5).await;
    }
    let grant = worker.grant().await;
    assert_eq!(id_of(&grant), lost);
    assert!(grant.orphaned);
}

async fn a_scheduler_that_starts_waits_a_lease_for_foreign_sessions(db: Db) {
    let before = db.start_with_lease(SHORT).await;
    let mut worker = before.worker_of("one", &ids::v4().to_string(), 10).await;
    before.record(spec()).await;
    worker.grant().await;
    before.stop().await;
    drop(worker);
    tokio::time::sleep(SHORT).await;

    let after = db.start_with_lease(Duration::from_secs(2)).await;
    let mut other = after.worker(10).await;
    other.expect_no_grant().await;
    keep_alive(&mut other, Worker::has_grant).await;
    let grant = other.grant().await;
    assert!(grant.orphaned);
    other.finish(&grant, success()).await;
}

async fn an_ended_session_may_not_come_back(db: Db) {
    let scheduler = db.start().await;
    let session = ids::v4().to_string();
    let worker = scheduler.worker_of("one", &session, 10).await;
    worker.goodbye().await;
    let refused = scheduler.worker_with("one", &session, 10, &[]).await;
    assert_eq!(refused.err().unwrap().code(), Code::FailedPrecondition);
}

async fn a_stream_begins_with_hello(db: Db) {
    let scheduler = db.start().await;
    let refused = scheduler.worker_with("", "", 10, &[]).await;
    assert_eq!(refused.err().unwrap().code(), Code::InvalidArgument);
}

async fn one_destination_does_not_fill_a_worker(db: Db) {
    let scheduler = db.start().await;
    for _ in 0..20 {
        scheduler
            .record(spec_of(ids::v4(), "http://stalled.example/"))
            .await;
    }
    let mut worker = scheduler.worker(8).await;
    let other = scheduler
        .record(spec_of(ids::v4(), "http://other.example/"))
        .await;
    let mut stalled = 0;
    while id_of(&worker.grant().await) != other {
        stalled += 1;
    }
    assert!(stalled <= 4, "{stalled}");
}

async fn a_concluded_operation_is_granted_with_its_outcome(db: Db) {
    let scheduler = db.start().await;
    let mut first = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = first.grant().await;
    assert!(first.report(conclusion(&grant, success())).await.ok);
    first.goodbye().await;
    let mut second = scheduler.worker(10).await;
    let grant = second.grant().await;
    assert_eq!(status_of(&grant).phase(), common::Phase::Finalizing);
    assert_eq!(status_of(&grant).outcome, Some(success()));
    assert!(second.done(&id, epoch_of(&grant)).await.ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_never_grant_the_same_operation() {
    const COUNT: usize = 300;
    let db = Db::postgres();
    let (one, two) = (db.start().await, db.start().await);
    let mut recorded = HashSet::new();
    for number in 0..COUNT {
        let url = format!("http://system-{}.example/", number % 7);
        let scheduler = if number % 2 == 0 { &one } else { &two };
        recorded.insert(scheduler.record(spec_of(ids::v4(), &url)).await);
    }
    let mut workers = [one.worker(1000).await, two.worker(1000).await];
    let mut granted = Vec::new();
    let [first, second] = &mut workers;
    while granted.len() < COUNT {
        let grant = tokio::select! {
            grant = first.grant() => grant,
            grant = second.grant() => grant,
        };
        assert_eq!(epoch_of(&grant), 1);
        granted.push(id_of(&grant));
    }
    first.expect_no_grant().await;
    second.expect_no_grant().await;
    let distinct: HashSet<_> = granted.iter().cloned().collect();
    assert_eq!(distinct, recorded);
    assert_eq!(granted.len(), COUNT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_may_report_to_any_replica_and_renew_with_any() {
    let db = Db::postgres();
    let (one, two) = (
        db.start_with_lease(SHORT).await,
        db.start_with_lease(SHORT).await,
    );
    let session = ids::v4().to_string();
    let mut first = one.worker_of("one", &session, 10).await;
    let mut second = two.worker_of("one", &session, 0).await;
    let mut other = two.worker(10).await;
    one.record(spec()).await;
    let grant = first.grant().await;
    for _ in 0..10 {
        second.heartbeat(None).await.unwrap();
        other.heartbeat(None).await.unwrap();
        tokio::time::sleep(SHORT / 5).await;
    }
    assert!(!other.has_grant());
    second.finish(&grant, success()).await;
}
