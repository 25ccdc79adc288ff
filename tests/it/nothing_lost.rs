//! Processes that end at the worst moments. Every accepted operation reaches its right end exactly once, and no
//! resource stays locked.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::load::{Kind, Wanted, Watch, script};
use crate::support::witness::reconcile;
use crate::support::{External, Mesh, Replicas, Storage, on_both_databases};

on_both_databases!(
    no_operation_is_lost_when_all_roles_end_at_a_named_moment,
    no_operation_is_lost_when_one_role_ends_at_a_named_moment,
);

/// Each begins with the role that it is in.
const MOMENTS: [&str; 11] = [
    // Accepted, and nobody else knows.
    "gateway.accepted",
    // Recorded, and the gateway does not know.
    "scheduler.recorded",
    // Granted, and the worker does not know.
    "scheduler.granted",
    // The worker knows, and nothing is sent.
    "operations.granted",
    // Sent, and nobody knows what was answered.
    "executor.sent",
    // Answered, and nothing of that is saved.
    "operations.reported",
    // The outcome is recorded, and the worker does not know.
    "scheduler.concluded",
    // The outcome is recorded, and the registry does not know.
    "operations.concluded",
    // The resource carries the outcome, and nobody else knows.
    "gateway.finalized",
    // The same, and the worker knows.
    "operations.finalized",
    // Ended, and the worker does not know.
    "scheduler.done",
];
/// Meshes that run at once.
const AT_ONCE: usize = 4;
const OPERATIONS: usize = 12;

#[derive(Clone, Copy)]
enum Shape {
    Up,
    Roles,
}

async fn no_operation_is_lost_when_all_roles_end_at_a_named_moment(storage: Storage) {
    at_every_moment(storage, Shape::Up).await;
}

async fn no_operation_is_lost_when_one_role_ends_at_a_named_moment(storage: Storage) {
    at_every_moment(storage, Shape::Roles).await;
}

async fn at_every_moment(storage: Storage, shape: Shape) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for moment in MOMENTS {
        let room = Arc::clone(&room);
        runs.spawn(async move {
            let _room = room.acquire().await.unwrap();
            println!("{moment} ...");
            Box::pin(end_at(storage, shape, moment)).await;
            println!("{moment} done");
        });
    }
    while let Some(run) = runs.join_next().await {
        if let Err(error) = run {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Runs operations through a mesh one process of which ends at `moment`, and is started again.
async fn end_at(storage: Storage, shape: Shape, moment: &str) {
    let external = External::start().await;
    script(&external);
    let mut mesh = Mesh::empty(storage);
    let victim = match shape {
        Shape::Up => {
            mesh.add_up();
            "up".to_owned()
        }
        Shape::Roles => {
            let (role, _) = moment.split_once('.').unwrap();
            format!("{role}-1")
        }
    };
    // The third time, so that some operations are beyond the moment and others before it.
    let failpoint = format!("{moment}=abort@3");
    match shape {
        Shape::Up => {
            mesh.process(&victim).arm(&failpoint);
            mesh.start_all().await;
        }
        Shape::Roles => {
            mesh.start_roles_with(Replicas::ONE_EACH, &victim, &failpoint)
                .await;
        }
    }
    let gateway = mesh.gateway();
    let mut wanted = Vec::new();
    for number in 0..OPERATIONS {
        let kind = Kind::ALL[number % Kind::ALL.len()];
        let name = format!("{moment}-{number}").replace('.', "-");
        // What is registered asynchronously reaches the moment by itself; that is the others' turn.
        wanted.push(Wanted::prepare(kind, &name, &gateway, &external).await);
    }
    let mut watch = Watch::new();
    let started = join_all(wanted.iter().map(|wanted| wanted.start(&gateway))).await;
    for accepted in started.iter().flatten() {
        watch.over(&gateway, accepted);
    }
    mesh.process(&victim).end().await;
    mesh.process(&victim).disarm();
    mesh.process(&victim).start().await;

    let mut promises = Vec::new();
    for (wanted, accepted) in wanted.iter().zip(started) {
        promises.push(match accepted {
            Some(accepted) => wanted.promise(accepted),
            None => wanted.settle(&mesh).await,
        });
    }
    reconcile(&mesh, &external, &promises).await;
    watch.end().await;
}
