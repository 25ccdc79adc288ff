//! Many operations, several replicas of every role, and processes killed one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::load::{Kind, Wanted, script};
use crate::support::witness::{Promise, reconcile, recorded};
use crate::support::{Accepted, External, Gateway, Mesh, Replicas, Storage};

const OPERATIONS: usize = 200;
const CLIENTS: usize = 8;
/// How long a process lives between two kills of the storm.
const CALM: Duration = Duration::from_millis(300);

/// Every operation that is wanted, with what came of asking for it.
type Asked = Vec<(Wanted, Option<Accepted>)>;

/// Clients that ask for operations, each one after the other.
struct Load {
    clients: JoinSet<Asked>,
    finished: Arc<AtomicUsize>,
}

impl Load {
    fn start(gateways: &[Gateway], external: &Arc<External>) -> Self {
        let mut load = Self {
            clients: JoinSet::new(),
            finished: Arc::default(),
        };
        for client in 0..CLIENTS {
            let gateway = gateways[client % gateways.len()].clone();
            let (external, finished) = (Arc::clone(external), Arc::clone(&load.finished));
            load.clients.spawn(async move {
                let asked = Box::pin(ask(client, &gateway, &external)).await;
                finished.fetch_add(1, Ordering::Relaxed);
                asked
            });
        }
        load
    }

    fn is_over(&self) -> bool {
        self.finished.load(Ordering::Relaxed) == CLIENTS
    }

    /// What the clients were promised, or found out afterwards.
    async fn promises(mut self, mesh: &Mesh) -> Vec<Promise> {
        let mut promises = Vec::new();
        while let Some(asked) = self.clients.join_next().await {
            let asked = asked.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
            for (wanted, accepted) in asked {
                promises.push(match accepted {
                    Some(accepted) => wanted.promise(accepted),
                    None => wanted.settle(mesh).await,
                });
            }
        }
        promises
    }
}

async fn ask(client: usize, gateway: &Gateway, external: &External) -> Asked {
    let mut asked = Asked::new();
    for number in 0..OPERATIONS / CLIENTS {
        let kind = Kind::ALL[(client + number) % Kind::ALL.len()];
        let name = format!("storm-{client}-{number}");
        let wanted = loop {
            match Wanted::try_prepare(kind, &name, gateway, external).await {
                Some(wanted) => break wanted,
                None => sleep(CALM / 3).await,
            }
        };
        let accepted = wanted.start(gateway).await;
        asked.push((wanted, accepted));
        // So that the load lasts as long as the storm.
        sleep(Duration::from_millis(150)).await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_every_role_on_postgres_survive_kills_in_turn() {
    let mesh = Mesh::roles(Storage::Postgres, Replicas::each(2)).await;
    Box::pin(storm(mesh)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_on_sqlite_survives_being_killed_again_and_again() {
    let mesh = Mesh::up(Storage::Sqlite).await;
    Box::pin(storm(mesh)).await;
}

/// As a roll-out does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_every_role_on_postgres_are_restarted_in_turn_and_no_answer_is_lost() {
    let mut mesh = Mesh::roles(Storage::Postgres, Replicas::each(2)).await;
    let external = Arc::new(External::start().await);
    script(&external);
    let load = Load::start(&mesh.gateways(), &external);
    for process in mesh.processes() {
        sleep(CALM).await;
        let asked = Instant::now();
        let status = process.terminate().await;
        assert!(status.success(), "{}: {status}", process.name);
        assert!(
            asked.elapsed() < Duration::from_secs(30),
            "{}",
            process.name
        );
        process.start().await;
    }
    let promises = load.promises(&mesh).await;
    reconcile(&mesh, &external, &promises).await;
    let received = external.count("/");
    let mut answered = 0;
    for promise in promises {
        let operations = recorded(&mesh.scheduler(), &promise.accepted.application).await;
        let attempts = operations.iter().flat_map(|(_, attempts)| attempts);
        answered += attempts
            .filter(|attempt| attempt.status_code != 0)
            .map(|attempt| attempt.count as usize)
            .sum::<usize>();
    }
    assert_eq!(answered, received, "the answer to every call was recorded");
}

async fn storm(mut mesh: Mesh) {
    let external = Arc::new(External::start().await);
    script(&external);
    let load = Load::start(&mesh.gateways(), &external);
    let mut kills = 0;
    while kills < 8 || !load.is_over() {
        for process in mesh.processes() {
            sleep(CALM).await;
            process.kill();
            process.start().await;
            kills += 1;
        }
    }
    let promises = load.promises(&mesh).await;
    assert_eq!(promises.len(), OPERATIONS);
    reconcile(&mesh, &external, &promises).await;
}
