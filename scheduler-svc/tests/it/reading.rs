//! Reading and watching.

use binnacle_boot::ids;
use binnacle_proto::common::v1 as common;
use binnacle_proto::scheduler::v1;
use tonic::{Code, Streaming};

use crate::setting::{A_WHILE, Db, PATIENCE, Scheduler, failure, id_of, spec, spec_of, success};

crate::on_both![
    pages_hold_every_operation_once_newest_first,
    filters_combine,
    a_bad_page_is_refused,
    a_watch_of_one_operation_ends_with_it,
    a_watch_of_an_unknown_operation_is_refused,
    a_watch_of_all_shows_every_change,
];

async fn list(
    scheduler: &Scheduler,
    request: v1::ListOperationsRequest,
) -> v1::ListOperationsResponse {
    let listed = scheduler.client.clone().list_operations(request).await;
    listed.unwrap().into_inner()
}

fn ids_of(operations: &[common::Operation]) -> Vec<String> {
    operations
        .iter()
        .map(|operation| operation.spec.clone().unwrap().operation_id)
        .collect()
}

async fn pages_hold_every_operation_once_newest_first(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(100).await;
    let mut recorded = Vec::new();
    for number in 0..25 {
        recorded.push(scheduler.record(spec()).await);
        let grant = worker.grant().await;
        if number % 2 == 0 {
            worker.finish(&grant, success()).await;
        }
    }
    recorded.sort();
    recorded.reverse();
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(
            &scheduler,
            v1::ListOperationsRequest {
                page_size: 7,
                page_token: token,
                ..Default::default()
            },
        )
        .await;
        assert!(page.operations.len() <= 7);
        listed.extend(ids_of(&page.operations));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, recorded);
    let all = list(&scheduler, v1::ListOperationsRequest::default()).await;
    assert_eq!(ids_of(&all.operations), recorded);
    assert_eq!(all.next_page_token, "");
}

async fn filters_combine(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(100).await;
    let (resource, tenant) = (ids::v4(), ids::v4());
    let mut of_tenant = spec_of(resource, "http://a/");
    of_tenant.tenant_id = tenant.to_string();
    let failed = scheduler.record(of_tenant.clone()).await;
    let grant = worker.grant().await;
    worker.finish(&grant, failure("no")).await;
    of_tenant.operation_id = ids::v7().to_string();
    let running = scheduler.record(of_tenant).await;
    scheduler.record(spec_of(resource, "http://a/")).await;
    scheduler.record(spec()).await;

    let request = v1::ListOperationsRequest {
        resource_id: resource.to_string(),
        ..Default::default()
    };
    assert_eq!(list(&scheduler, request.clone()).await.operations.len(), 3);
    let request = v1::ListOperationsRequest {
        tenant_id: tenant.to_string(),
        ..request
    };
    let both = list(&scheduler, request.clone()).await.operations;
    assert_eq!(ids_of(&both), [running.clone(), failed.clone()]);
    for (phase, expected) in [
        (common::Phase::InProgress, vec![running]),
        (common::Phase::Finalizing, vec![]),
        (common::Phase::Succeeded, vec![]),
        (common::Phase::Failed, vec![failed]),
    ] {
        let request = v1::ListOperationsRequest {
            phase: phase.into(),
            ..request.clone()
        };
        let listed = list(&scheduler, request).await.operations;
        assert_eq!(ids_of(&listed), expected, "{phase:?}");
    }
}

async fn a_bad_page_is_refused(db: Db) {
    let scheduler = db.start().await;
    let bad = [
        v1::ListOperationsRequest {
            page_size: -1,
            ..Default::default()
        },
        v1::ListOperationsRequest {
            page_size: 1001,
            ..Default::default()
        },
        v1::ListOperationsRequest {
            page_token: "next".to_owned(),
            ..Default::default()
        },
        v1::ListOperationsRequest {
            phase: 99,
            ..Default::default()
        },
        v1::ListOperationsRequest {
            tenant_id: "me".to_owned(),
            ..Default::default()
        },
    ];
    for request in bad {
        let refused = scheduler.client.clone().list_operations(request).await;
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
}

async fn a_watch_of_one_operation_ends_with_it(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let request = v1::WatchOperationsRequest { operation_id: id };
    let watch = scheduler.client.clone().watch_operations(request).await;
    let mut watch = watch.unwrap().into_inner();
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

async fn a_watch_of_an_unknown_operation_is_refused(db: Db) {
    let scheduler = db.start().await;
    let request = v1::WatchOperationsRequest {
        operation_id: ids::v7().to_string(),
    };
    let refused = scheduler.client.clone().watch_operations(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

async fn a_watch_of_all_shows_every_change(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let request = v1::WatchOperationsRequest::default();
    let watch = scheduler.client.clone().watch_operations(request).await;
    let mut watch = watch.unwrap().into_inner();
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
    let request = v1::WatchOperationsRequest::default();
    let watch = here.client.clone().watch_operations(request).await;
    let mut watch = watch.unwrap().into_inner();
    // Until the other replica knows that somebody watches, a change may be missed; so there are several.
    let seen = async { watch.message().await.unwrap().unwrap() };
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
        frame = seen => assert!(!frame.operations.is_empty()),
        () = changing => {}
        () = tokio::time::sleep(PATIENCE) => panic!("nothing is seen"),
    }
    let id = there.record(spec()).await;
    let request = v1::WatchOperationsRequest {
        operation_id: id.clone(),
    };
    let watch = here.client.clone().watch_operations(request).await;
    let mut watch = watch.unwrap().into_inner();
    while id_of(&worker.grant().await) != id {}
    drop(worker);
    assert!(watch.message().await.unwrap().is_some());
}
