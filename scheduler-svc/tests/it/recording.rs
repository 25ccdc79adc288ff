//! Recording operations and bringing them to their end.

use std::collections::HashSet;

use binnacle_boot::ids;
use binnacle_proto::common::v1 as common;
use binnacle_proto::scheduler::v1;
use futures::future::join_all;
use tonic::Code;

use crate::setting::{
    Db, conclusion, epoch_of, failure, id_of, progress, receipt, spec, spec_of, status_of, success,
};

crate::on_both![
    an_operation_is_recorded_as_it_was_submitted,
    recording_again_changes_nothing,
    at_most_one_operation_per_resource_is_recorded,
    a_conflict_names_the_operation_in_progress,
    the_receipt_of_the_predecessor_closes_it,
    what_is_invalid_is_refused_by_itself,
    a_request_over_its_limit_is_refused,
    an_operation_goes_from_its_grant_to_its_end,
    the_outcome_of_the_registry_replaces_the_recorded_one,
    a_recorded_outcome_cannot_be_changed,
    an_operation_without_an_outcome_cannot_be_finished,
    repeats_of_a_report_and_of_a_done_are_recognised,
    late_messages_change_nothing,
    the_ledger_keeps_every_attempt_and_counts_runs,
    the_ledger_shows_how_far_a_run_has_come_whose_row_is_not_written_again,
    a_thousand_operations_take_few_commits,
];

async fn an_operation_is_recorded_as_it_was_submitted(db: Db) {
    let scheduler = db.start().await;
    let spec = spec();
    let id = scheduler.record(spec.clone()).await;
    let operation = scheduler.try_get(&id).await.unwrap();
    assert_eq!(operation.spec, Some(spec));
    let status = operation.status.unwrap();
    assert_eq!(status.phase(), common::Phase::InProgress);
    assert_eq!((status.version, status.epoch), (1, 0));
    assert_eq!(status.webhooks.len(), 1);
    assert_eq!(status.webhooks[0].state(), common::WebhookState::Waiting);
    assert_eq!(status.done_time, None);

    let unknown = scheduler.try_get(&ids::v7().to_string()).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

async fn recording_again_changes_nothing(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let spec = spec();
    let id = scheduler.record(spec.clone()).await;
    let again = vec![
        v1::Submission {
            spec: Some(spec.clone()),
            previous: None,
        };
        3
    ];
    for result in scheduler.submit(again).await {
        assert_eq!(result.state(), v1::SubmissionState::Recorded);
    }
    let grant = worker.grant().await;
    worker.expect_no_grant().await;

    worker.report(conclusion(&grant, failure("it broke"))).await;
    let result = scheduler.submit_one(spec.clone()).await;
    assert_eq!(result.state(), v1::SubmissionState::Concluded);
    assert_eq!(result.outcome, Some(failure("it broke")));

    worker.done(&id, epoch_of(&grant)).await;
    let result = scheduler.submit_one(spec).await;
    assert_eq!(result.state(), v1::SubmissionState::Concluded);
    assert_eq!(result.outcome, Some(failure("it broke")));
    worker.expect_no_grant().await;
    assert_eq!(scheduler.phase(&id).await, common::Phase::Failed);
}

async fn at_most_one_operation_per_resource_is_recorded(db: Db) {
    let scheduler = db.start().await;
    let resource = ids::v4();
    let submissions = (0..200).map(|_| scheduler.submit_one(spec_of(resource, "http://a/")));
    let results = join_all(submissions).await;
    let winners: Vec<_> = results
        .iter()
        .filter(|result| result.state() == v1::SubmissionState::Recorded)
        .collect();
    assert_eq!(winners.len(), 1);
    for result in &results {
        if result.operation_id != winners[0].operation_id {
            assert_eq!(result.state(), v1::SubmissionState::Conflict);
            assert_eq!(result.conflicting_operation_id, winners[0].operation_id);
        }
    }
}

async fn a_conflict_names_the_operation_in_progress(db: Db) {
    let scheduler = db.start().await;
    let resource = ids::v4();
    let first = scheduler.record(spec_of(resource, "http://a/")).await;
    let second = scheduler.submit_one(spec_of(resource, "http://a/")).await;
    assert_eq!(second.state(), v1::SubmissionState::Conflict);
    assert_eq!(second.conflicting_operation_id, first);
    let mut elsewhere = spec_of(resource, "http://a/");
    elsewhere.tenant_id = ids::v4().to_string();
    scheduler.record(elsewhere).await;
}

async fn the_receipt_of_the_predecessor_closes_it(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let resource = ids::v4();
    let first = scheduler.record(spec_of(resource, "http://a/")).await;
    let grant = worker.grant().await;
    let submission = v1::Submission {
        spec: Some(spec_of(resource, "http://a/")),
        previous: Some(receipt(&first, failure("as the registry has it"))),
    };
    let result = scheduler.submit(vec![submission]).await.remove(0);
    assert_eq!(result.state(), v1::SubmissionState::Recorded, "{result:?}");
    assert_eq!(id_of(&worker.grant().await), result.operation_id);

    let status = scheduler.try_get(&first).await.unwrap().status.unwrap();
    assert_eq!(status.phase(), common::Phase::Failed);
    assert_eq!(status.outcome, Some(failure("as the registry has it")));
    assert!(!worker.report(conclusion(&grant, success())).await.ok);
    assert!(!worker.done(&first, epoch_of(&grant)).await.ok);
}

async fn what_is_invalid_is_refused_by_itself(db: Db) {
    let scheduler = db.start().await;
    let good = spec();
    let mut without_type = spec();
    without_type.operation_type = 0;
    let mut with_two_urls = spec();
    with_two_urls.webhooks[0].url_template = Some("{}".to_owned());
    let mut without_json = spec();
    "{".clone_into(&mut without_json.request_object);
    let mut with_bad_id = spec();
    "7".clone_into(&mut with_bad_id.operation_id);
    let mut twice = spec();
    twice.webhooks.push(twice.webhooks[0].clone());
    let mut without_status = spec();
    without_status.webhooks[0].set_mode(common::WebhookMode::Async);
    let bad = [
        without_type,
        with_two_urls,
        without_json,
        with_bad_id,
        twice,
        without_status,
    ];
    let submissions = std::iter::once(good.clone())
        .chain(bad)
        .map(|spec| v1::Submission {
            spec: Some(spec),
            previous: None,
        })
        .chain([v1::Submission::default()])
        .collect();
    let results = scheduler.submit(submissions).await;
    assert_eq!(results[0].state(), v1::SubmissionState::Recorded);
    for result in &results[1..] {
        assert_eq!(result.state(), v1::SubmissionState::Invalid, "{result:?}");
        assert!(!result.reason.is_empty());
        assert!(scheduler.try_get(&result.operation_id).await.is_err());
    }
}

async fn a_request_over_its_limit_is_refused(db: Db) {
    let scheduler = db.start().await;
    let mut large = spec();
    large.request_object = format!("\"{}\"", "x".repeat(1024 * 1024));
    let submissions = vec![v1::Submission {
        spec: Some(large),
        previous: None,
    }];
    let request = v1::ScheduleRequest { submissions };
    let refused = scheduler.client.clone().schedule(request).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
}

async fn an_operation_goes_from_its_grant_to_its_end(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let spec = spec();
    let id = scheduler.record(spec.clone()).await;
    let grant = worker.grant().await;
    assert_eq!(grant.operation.as_ref().unwrap().spec, Some(spec));
    assert!(!grant.orphaned);
    assert!(grant.now_unix_micros > 1_700_000_000_000_000);
    let status = status_of(&grant);
    assert_eq!((status.version, status.epoch), (1, 1));
    assert_eq!(
        scheduler.try_get(&id).await.unwrap(),
        grant.operation.clone().unwrap()
    );

    let mut report = progress(&grant);
    report.webhooks[0].calls = 1;
    report.webhooks[0].set_state(common::WebhookState::Succeeded);
    report.webhooks[0].next_attempt_time = None;
    let saved = worker.report(report.clone()).await;
    assert!(saved.ok);
    assert_eq!((saved.version, saved.epoch), (2, 1));
    let concluded = v1::Report {
        version: saved.version,
        concluded: Some(success()),
        ..report.clone()
    };
    assert!(worker.report(concluded).await.ok);
    let status = scheduler.try_get(&id).await.unwrap().status.unwrap();
    assert_eq!(status.phase(), common::Phase::Finalizing);
    assert_eq!(status.outcome, Some(success()));

    assert!(worker.done(&id, 1).await.ok);
    let status = scheduler.try_get(&id).await.unwrap().status.unwrap();
    assert_eq!(status.phase(), common::Phase::Succeeded);
    assert_eq!(status.webhooks, report.webhooks);
    assert!(status.done_time.is_some());
}

async fn the_outcome_of_the_registry_replaces_the_recorded_one(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    worker.report(conclusion(&grant, success())).await;
    let gone = failure("Application not found in director");
    assert!(worker.done_with(&id, 1, Some(gone.clone())).await.ok);
    let status = scheduler.try_get(&id).await.unwrap().status.unwrap();
    assert_eq!(status.phase(), common::Phase::Failed);
    assert_eq!(status.outcome, Some(gone));
}

async fn a_recorded_outcome_cannot_be_changed(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let saved = worker.report(conclusion(&grant, failure("first"))).await;
    let other = v1::Report {
        version: saved.version,
        ..conclusion(&grant, success())
    };
    assert!(!worker.report(other).await.ok);
    let status = scheduler.try_get(&id).await.unwrap().status.unwrap();
    assert_eq!(status.outcome, Some(failure("first")));
}

async fn an_operation_without_an_outcome_cannot_be_finished(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    worker.grant().await;
    assert!(!worker.done(&id, 1).await.ok);
    assert_eq!(scheduler.phase(&id).await, common::Phase::InProgress);
}

async fn repeats_of_a_report_and_of_a_done_are_recognised(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let report = conclusion(&grant, success());
    let first = worker.report(report.clone()).await;
    assert_eq!(worker.report(report).await, first);
    let first = worker.done(&id, 1).await;
    assert!(first.ok);
    assert_eq!(worker.done(&id, 1).await, first);
}

async fn late_messages_change_nothing(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let before = scheduler.try_get(&id).await.unwrap();
    let wrong = [
        v1::Report {
            epoch: 0,
            ..conclusion(&grant, success())
        },
        v1::Report {
            epoch: 2,
            ..conclusion(&grant, success())
        },
        v1::Report {
            version: 7,
            ..conclusion(&grant, success())
        },
        v1::Report {
            operation_id: ids::v7().to_string(),
            ..conclusion(&grant, success())
        },
    ];
    for report in wrong {
        assert!(!worker.report(report).await.ok);
    }
    assert!(!worker.done(&id, 2).await.ok);
    assert!(!worker.done(&ids::v7().to_string(), 1).await.ok);
    assert_eq!(scheduler.try_get(&id).await.unwrap(), before);
}

fn attempt(number: u32, count: u32, text: &str) -> common::Attempt {
    let time = |seconds| {
        Some(prost_types::Timestamp {
            seconds,
            nanos: 5_000,
        })
    };
    common::Attempt {
        webhook_id: "0d5e6f9a-8a41-4c3e-9d1e-000000000001".to_owned(),
        number,
        count,
        kind: common::AttemptKind::Poll.into(),
        result: common::AttemptResult::InProgress.into(),
        start_time: time(1_700_000_000 + i64::from(number)),
        end_time: time(1_700_000_000 + i64::from(number + count)),
        status_code: 200,
        request: "GET http://a/".to_owned(),
        response: text.to_owned(),
        error: String::new(),
        next_attempt_time: time(1_800_000_000 + i64::from(count)),
    }
}

async fn the_ledger_keeps_every_attempt_and_counts_runs(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let mut version = status_of(&grant).version;
    let rows = [
        vec![attempt(1, 1, "one")],
        vec![attempt(2, 1, "two"), attempt(3, 1, "a \0 byte")],
        vec![attempt(3, 2, "three")],
        vec![attempt(3, 5, "three"), attempt(3, 4, "three")],
        vec![attempt(3, 1, "late")],
    ];
    for attempts in rows {
        let saved = worker
            .report(v1::Report {
                version,
                attempts,
                ..progress(&grant)
            })
            .await;
        assert!(saved.ok);
        version = saved.version;
    }
    let stale = worker
        .report(v1::Report {
            attempts: vec![attempt(9, 1, "x")],
            ..progress(&grant)
        })
        .await;
    assert!(!stale.ok);
    let ledger = scheduler.attempts(&id).await;
    let run = attempt(3, 5, "a \u{fffd} byte");
    assert_eq!(ledger, [attempt(1, 1, "one"), attempt(2, 1, "two"), run]);
    worker
        .report(v1::Report {
            version,
            ..conclusion(&grant, success())
        })
        .await;
    worker.done(&id, 1).await;
    assert_eq!(scheduler.attempts(&id).await.len(), 3);
}

async fn the_ledger_shows_how_far_a_run_has_come_whose_row_is_not_written_again(db: Db) {
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(10).await;
    let id = scheduler.record(spec()).await;
    let grant = worker.grant().await;
    let mut report = progress(&grant);
    report.attempts = vec![attempt(1, 1, "one"), attempt(2, 1, "two")];
    let run = attempt(2, 4, "two");
    let status = &mut report.webhooks[0];
    (status.calls, status.polls) = (1, 4);
    status.next_attempt_time = run.next_attempt_time;
    status.run_first_number = 2;
    status.run_end_time = run.end_time;
    assert!(worker.report(report).await.ok);
    let ledger = scheduler.attempts(&id).await;
    assert_eq!(ledger, [attempt(1, 1, "one"), run]);
}

async fn a_thousand_operations_take_few_commits(db: Db) {
    const COUNT: usize = 1000;
    let scheduler = db.start().await;
    let mut worker = scheduler.worker(4000).await;
    let before = scheduler.metric("scheduler_commit_seconds");
    let submissions: Vec<_> = (0..COUNT)
        .map(|_| v1::Submission {
            spec: Some(spec()),
            previous: None,
        })
        .collect();
    for chunk in submissions.chunks(250) {
        for result in scheduler.submit(chunk.to_vec()).await {
            assert_eq!(result.state(), v1::SubmissionState::Recorded);
        }
    }
    let mut grants = Vec::new();
    while grants.len() < COUNT {
        grants.push(worker.grant().await);
    }
    let reports = grants.iter().map(|grant| conclusion(grant, success()));
    worker
        .say(v1::WorkRequest {
            reports: reports.collect(),
            ..Default::default()
        })
        .await;
    for _ in 0..COUNT {
        assert!(worker.saved().await.ok);
    }
    let dones = grants.iter().map(|grant| v1::Done {
        operation_id: id_of(grant),
        epoch: epoch_of(grant),
        outcome: None,
    });
    worker
        .say(v1::WorkRequest {
            dones: dones.collect(),
            ..Default::default()
        })
        .await;
    let mut finished = HashSet::new();
    for _ in 0..COUNT {
        let saved = worker.saved().await;
        assert!(saved.ok);
        finished.insert(saved.operation_id);
    }
    assert_eq!(finished.len(), COUNT);
    let commits = scheduler.metric("scheduler_commit_seconds") - before;
    // Four writes each; how many go together depends on what a commit takes.
    assert!(commits < 400.0, "{commits} commits");
}
