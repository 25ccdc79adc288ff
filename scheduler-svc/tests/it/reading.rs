//! Reading.

use binnacle_boot::ids;
use binnacle_proto::common::v1 as common;
use binnacle_proto::scheduler::v1;
use tonic::Code;

use crate::setting::{Db, Scheduler, failure, spec, spec_of, success};

crate::on_both![
    pages_hold_every_operation_once_newest_first,
    filters_combine,
    a_bad_page_is_refused,
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
