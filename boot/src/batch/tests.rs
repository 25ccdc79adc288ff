use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;

/// Doubles numbers once it is let through; fails as often as told.
struct Doubling {
    gate: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<usize>>>,
    conflicts: u32,
}

impl Commit for Doubling {
    type Item = u32;
    type Answer = u32;
    type Error = &'static str;

    async fn commit(&mut self, items: &[u32]) -> Result<Vec<u32>, &'static str> {
        self.gate.acquire().await.unwrap().forget();
        self.batches.lock().unwrap().push(items.len());
        assert!(!items.contains(&13), "thirteen");
        if self.conflicts > 0 {
            self.conflicts -= 1;
            return Err("conflict");
        }
        if items.contains(&0) {
            return Err("zero");
        }
        Ok(items.iter().map(|item| item * 2).collect())
    }

    fn is_retryable(&self, error: &&'static str) -> bool {
        *error == "conflict"
    }
}

struct Setting {
    writer: Writer<Doubling>,
    gate: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<usize>>>,
    shutdown: Shutdown,
}

fn start(conflicts: u32, options: Options) -> Setting {
    let gate = Arc::new(Semaphore::new(0));
    let batches = Arc::new(Mutex::new(Vec::new()));
    let shutdown = Shutdown::new();
    let commit = Doubling {
        gate: gate.clone(),
        batches: batches.clone(),
        conflicts,
    };
    Setting {
        writer: Writer::spawn(commit, options, &shutdown),
        gate,
        batches,
        shutdown,
    }
}

async fn send_all(writer: &Writer<Doubling>, items: &[u32]) -> Vec<Pending<Doubling>> {
    let mut pending = Vec::new();
    for item in items {
        pending.push(writer.send(*item).await.unwrap());
    }
    pending
}

#[tokio::test]
async fn what_arrives_during_a_commit_is_the_next_batch() {
    let setting = start(0, Options::default());
    let first = setting.writer.send(1).await.unwrap();
    // The writer takes it, lets others have their turn, and commits.
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let rest = send_all(&setting.writer, &[2, 3, 4]).await;
    setting.gate.add_permits(2);
    assert_eq!(first.await.unwrap(), 2);
    for (pending, expected) in rest.into_iter().zip([4, 6, 8]) {
        assert_eq!(pending.await.unwrap(), expected);
    }
    assert_eq!(*setting.batches.lock().unwrap(), [1, 3]);
}

#[tokio::test]
async fn a_batch_is_never_larger_than_told() {
    let setting = start(
        0,
        Options {
            max_batch: 2,
            ..Options::default()
        },
    );
    let pending = send_all(&setting.writer, &[1, 2, 3, 4, 5]).await;
    setting.gate.add_permits(5);
    for pending in pending {
        pending.await.unwrap();
    }
    assert_eq!(*setting.batches.lock().unwrap(), [2, 2, 1]);
}

#[tokio::test]
async fn a_failed_commit_is_told_to_everybody_in_the_batch_and_to_nobody_else() {
    let setting = start(0, Options::default());
    let failing = send_all(&setting.writer, &[0, 1]).await;
    setting.gate.add_permits(2);
    for pending in failing {
        assert!(matches!(pending.await, Err(Error::Commit("zero"))));
    }
    assert_eq!(setting.writer.submit(5).await.unwrap(), 10);
}

#[tokio::test]
async fn a_conflict_is_committed_again_whole() {
    let setting = start(2, Options::default());
    let pending = send_all(&setting.writer, &[1, 2]).await;
    setting.gate.add_permits(3);
    for pending in pending {
        pending.await.unwrap();
    }
    assert_eq!(*setting.batches.lock().unwrap(), [2, 2, 2]);
}

#[tokio::test]
async fn a_panic_ends_its_batch_and_not_the_writer() {
    let setting = start(0, Options::default());
    setting.gate.add_permits(2);
    assert!(matches!(
        setting.writer.submit(13).await,
        Err(Error::Stopped)
    ));
    assert_eq!(setting.writer.submit(1).await.unwrap(), 2);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let setting = start(
        0,
        Options {
            capacity: 1,
            ..Options::default()
        },
    );
    let first = setting.writer.try_send(1).unwrap();
    assert!(matches!(setting.writer.try_send(2), Err(Error::Busy)));
    setting.gate.add_permits(1);
    first.await.unwrap();
}

#[tokio::test]
async fn everything_sent_is_answered_before_the_writer_ends() {
    let setting = start(0, Options::default());
    let pending = send_all(&setting.writer, &[1, 2]).await;
    drop(setting.writer);
    setting.gate.add_permits(1);
    assert!(setting.shutdown.drain(Duration::from_secs(5)).await);
    for pending in pending {
        pending.await.unwrap();
    }
}
