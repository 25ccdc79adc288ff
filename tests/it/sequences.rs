//! The sequences of events that the protocol between the services exists for.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use binnacle_proto::common::v1::{AttemptResult, Phase};
use binnacle_test_support::{Durability, Postgres, until};
use futures::future::join_all;
use serde_json::json;

use crate::support::load::{Kind, Wanted, Watch, script};
use crate::support::witness::{End, Promise, judge_end, reconcile, recorded};
use crate::support::{Answer, External, Mesh, PATIENCE, Replicas, Storage, on_both_databases};

const UNREGISTER: &str = "UNREGISTER_APPLICATION";

on_both_databases!(
    a_frozen_workers_writes_change_nothing_once_another_has_taken_over,
    a_scheduler_that_lost_its_last_commits_gets_its_operations_again,
    an_operation_that_is_applied_but_not_done_gives_way_to_the_next,
    a_scheduler_that_is_away_delays_operations_and_loses_none,
);

/// Frozen with a report in its hands, with an outcome that it has just recorded, and anywhere.
async fn a_frozen_workers_writes_change_nothing_once_another_has_taken_over(storage: Storage) {
    let frozen_at = [
        Some("operations.reported=stop"),
        Some("operations.concluded=stop"),
        None,
    ];
    join_all(frozen_at.map(|moment| Box::pin(take_over(storage, moment)))).await;
}

async fn take_over(storage: Storage, frozen_at: Option<&str>) {
    let external = External::start().await;
    external.script("/slow/*", [Answer::ok().after(Duration::from_secs(3))]);
    let mut mesh = Mesh::empty(storage);
    let failpoint = frozen_at.unwrap_or_default();
    mesh.start_roles_with(Replicas::ONE_EACH, "operations-1", failpoint)
        .await;
    let gateway = mesh.gateway();
    let webhook = external.sync(UNREGISTER, "/slow");
    let application = gateway.register("taken-over", json!([webhook])).await;
    let accepted = gateway.start("unregisterApplication", &application).await;
    until(PATIENCE, || async { external.count("/slow") == 1 }).await;
    match frozen_at {
        Some(_) => mesh.process("operations-1").frozen().await,
        None => mesh.process("operations-1").freeze(),
    }
    mesh.add_operations("operations-2").start().await;
    let ended = gateway.end_of(&accepted.own_location()).await;
    assert_eq!(ended["status"], "SUCCEEDED", "{frozen_at:?}: {ended}");
    let promise = Promise {
        accepted,
        end: End::Removed,
    };
    judge_end(&mesh, &promise).await;
    let before = recorded(&mesh.scheduler(), &application).await;

    mesh.process("operations-1").thaw();
    let zombie = mesh.process("operations-1").address("operations");
    // It is back among the workers, so all that it had to say has been heard.
    until(PATIENCE, || async {
        let page = gateway.get(&format!("http://{zombie}/readyz")).await;
        page.is_ok_and(|page| page.status() == 200)
    })
    .await;
    let next = gateway.register("after", json!([])).await;
    let after = gateway.start("unregisterApplication", &next).await;
    gateway.end_of(&after.own_location()).await;
    assert_eq!(recorded(&mesh.scheduler(), &application).await, before);
    reconcile(&mesh, &external, &[promise]).await;
    if frozen_at != Some("operations.concluded=stop") {
        let (_, attempts) = &before[0];
        assert_eq!(
            attempts[0].result(),
            AttemptResult::Unknown,
            "{attempts:#?}"
        );
        assert_eq!(external.count("/slow"), 2, "the second worker called again");
    }
}

/// Whoever calls them learns nothing: connections stay open, and requests are taken by the kernel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_replicas_hold_up_few_operations_while_others_do_their_work() {
    let external = External::start().await;
    script(&external);
    let replicas = Replicas {
        gateways: 2,
        schedulers: 2,
        ..Replicas::ONE_EACH
    };
    let mut mesh = Mesh::roles(Storage::Postgres, replicas).await;
    let gateway = mesh.gateway();
    let frozen = ["gateway-2", "scheduler-2"];
    for name in frozen {
        mesh.process(name).freeze();
    }
    let mut promises = Vec::new();
    let one_after_the_other = async {
        for number in 0..60 {
            let name = format!("beside-{number}");
            let wanted = Wanted::prepare(Kind::Sync, &name, &gateway, &external).await;
            let promise = wanted.promise(wanted.start(&gateway).await.unwrap());
            gateway.end_of(&promise.accepted.own_location()).await;
            promises.push(promise);
        }
    };
    let all = tokio::time::timeout(PATIENCE, one_after_the_other).await;
    assert!(all.is_ok(), "only {} have ended", promises.len());
    for name in frozen {
        mesh.process(name).thaw();
    }
    reconcile(&mesh, &external, &promises).await;
}

async fn a_scheduler_that_lost_its_last_commits_gets_its_operations_again(storage: Storage) {
    let external = External::start().await;
    script(&external);
    let mut mesh = Mesh::roles(storage, Replicas::ONE_EACH).await;
    let gateway = mesh.gateway();
    let data = mesh.process("scheduler-1").data();
    let backup = data.with_extension("backup");
    if storage == Storage::Sqlite {
        mesh.process("scheduler-1").kill();
        copy(&data, &backup);
        mesh.process("scheduler-1").start().await;
    }
    let mut promises = Vec::new();
    let mut watch = Watch::new();
    // One has ended, one is being polled, one is on its way when the scheduler ends.
    let ended = Wanted::prepare(Kind::Sync, "lost-ended", &gateway, &external).await;
    let ended = ended.promise(ended.start(&gateway).await.unwrap());
    judge_end(&mesh, &ended).await;
    watch.over(&gateway, &ended.accepted);
    let polled = Wanted::prepare(Kind::Job, "lost-polled", &gateway, &external).await;
    external.script(
        "/status-of-job/*",
        [
            Answer::status("IN_PROGRESS"),
            Answer::status("IN_PROGRESS").after(Duration::from_secs(3)),
            Answer::status("SUCCEEDED"),
        ],
    );
    promises.push(polled.promise(polled.start(&gateway).await.unwrap()));
    until(PATIENCE, || async { external.count("/status-of-job") == 2 }).await;
    mesh.process("scheduler-1").kill();
    for kind in [Kind::Unpaired, Kind::FailingJob, Kind::Registered] {
        let name = format!("lost-{kind:?}").to_lowercase();
        let wanted = Wanted::prepare(kind, &name, &gateway, &external).await;
        promises.push(wanted.promise(wanted.start(&gateway).await.unwrap()));
    }
    for promise in &promises {
        watch.over(&gateway, &promise.accepted);
    }
    match storage {
        Storage::Sqlite => {
            fs::remove_dir_all(&data).unwrap();
            copy(&backup, &data);
        }
        Storage::Postgres => {
            mesh.sql("TRUNCATE scheduler.operation, scheduler.operation_done, scheduler.attempt");
        }
    }
    mesh.process("scheduler-1").start().await;
    for promise in &promises {
        judge_end(&mesh, promise).await;
    }
    // The one that had ended stays known to the registry, and is not run again.
    let told = gateway.poll(&ended.accepted.own_location()).await;
    assert_eq!(told["status"], "SUCCEEDED");
    assert_eq!(
        external.count("/sync/").clamp(2, 3),
        external.count("/sync/")
    );
    watch.end().await;
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("-r")
        .args([from, to])
        .status()
        .unwrap();
    assert!(copied.success(), "{} was not copied", from.display());
}

async fn an_operation_that_is_applied_but_not_done_gives_way_to_the_next(storage: Storage) {
    let external = External::start().await;
    external.script("/ok/*", [Answer::ok()]);
    let mut mesh = Mesh::empty(storage);
    mesh.start_roles_with(
        Replicas::ONE_EACH,
        "operations-1",
        "operations.finalized=abort",
    )
    .await;
    let (gateway, scheduler) = (mesh.gateway(), mesh.scheduler());
    let webhook = external.sync(UNREGISTER, "/ok");
    let application = gateway.register("again", json!([webhook])).await;
    let first = gateway.start("unpairApplication", &application).await;
    mesh.process("operations-1").end().await;
    // The resource carries the outcome, so the client may go on; the scheduler has not heard of it.
    let told = gateway.end_of(&first.own_location()).await;
    assert_eq!(told["status"], "SUCCEEDED");
    let phases = async || {
        let operations = recorded(&scheduler, &application).await;
        let phase = |operation: &str| {
            let found = operations
                .iter()
                .find(|(o, _)| o.spec.as_ref().unwrap().operation_id == operation);
            found.map(|(operation, _)| operation.status.as_ref().unwrap().phase())
        };
        (phase(&first.operation), operations.len())
    };
    assert_eq!(phases().await, (Some(Phase::Finalizing), 1));

    let second = gateway.start("unregisterApplication", &application).await;
    until(PATIENCE, || async {
        phases().await == (Some(Phase::Succeeded), 2)
    })
    .await;
    mesh.process("operations-1").disarm();
    mesh.process("operations-1").start().await;
    let second = Promise {
        accepted: second,
        end: End::Removed,
    };
    reconcile(&mesh, &external, &[second]).await;
    assert_eq!(phases().await, (Some(Phase::Succeeded), 2));
    assert_eq!(external.count("/ok"), 2, "each was called once");
}

async fn a_scheduler_that_is_away_delays_operations_and_loses_none(storage: Storage) {
    let external = External::start().await;
    script(&external);
    let mut mesh = Mesh::roles(storage, Replicas::ONE_EACH).await;
    let gateway = mesh.gateway();
    mesh.process("scheduler-1").kill();
    let mut promises = Vec::new();
    for kind in Kind::ALL {
        let name = format!("away-{kind:?}").to_lowercase();
        let wanted = Wanted::prepare(kind, &name, &gateway, &external).await;
        let accepted = wanted.start(&gateway).await.unwrap();
        let told = gateway.poll(&accepted.own_location()).await;
        assert_eq!(
            told["status"], "IN_PROGRESS",
            "answered without the scheduler"
        );
        promises.push(wanted.promise(accepted));
    }
    mesh.process("scheduler-1").start().await;
    reconcile(&mesh, &external, &promises).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_is_ready_and_afterwards_everything_finishes() {
    let mut postgres = Postgres::start(Durability::Relaxed);
    let external = External::start().await;
    script(&external);
    let mut mesh = Mesh::on(Some(postgres.create_database()));
    mesh.start_roles(Replicas::ONE_EACH).await;
    let gateway = mesh.gateway();
    let mut wanted = Vec::new();
    for kind in Kind::ALL {
        let name = format!("database-{kind:?}").to_lowercase();
        wanted.push(Wanted::prepare(kind, &name, &gateway, &external).await);
    }
    let started = join_all(wanted.iter().map(|wanted| wanted.start(&gateway))).await;
    postgres.stop();
    let scheduler = format!("http://{}/readyz", mesh.address("scheduler"));
    let is_ready = async |url: &str, status: u16| {
        let page = gateway.get(url).await;
        page.is_ok_and(|page| page.status() == status)
    };
    for url in ["/readyz", &scheduler] {
        until(PATIENCE, || is_ready(url, 503)).await;
    }
    assert!(is_ready("/healthz", 200).await, "alive all the same");
    let refused = gateway
        .try_ask("{ applications { data { id } } }", json!({}))
        .await;
    assert!(refused.unwrap()["errors"].is_array());
    postgres.resume();
    for url in ["/readyz", &scheduler] {
        until(PATIENCE, || is_ready(url, 200)).await;
    }
    let mut promises = Vec::new();
    for (wanted, accepted) in wanted.iter().zip(started) {
        promises.push(match accepted {
            Some(accepted) => wanted.promise(accepted),
            None => wanted.settle(&mesh).await,
        });
    }
    reconcile(&mesh, &external, &promises).await;
    for process in mesh.processes() {
        assert_eq!(process.ended(), None, "{} ended", process.name);
    }
}
