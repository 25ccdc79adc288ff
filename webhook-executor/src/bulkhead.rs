//! How many exchanges run at once, altogether and with one destination.
//!
//! A call first waits for room at its destination and only then for room in the process, so that
//! a system which has stalled holds up nobody but those who wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) struct Bulkhead {
    all: Semaphore,
    per_destination: usize,
    destinations: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Bulkhead {
    pub(crate) fn new(all: usize, per_destination: usize) -> Self {
        Self {
            all: Semaphore::new(all),
            per_destination,
            destinations: Mutex::default(),
        }
    }

    /// Runs `exchange` when there is room for one more with `destination`.
    pub(crate) async fn run<F: Future>(&self, destination: &str, exchange: F) -> F::Output {
        let visit = self.visit(destination);
        // The semaphores are never closed, so what they answer is a permit.
        let _there: Option<SemaphorePermit<'_>> = visit.room.acquire().await.ok();
        let _here = self.all.acquire().await.ok();
        exchange.await
    }

    fn visit(&self, destination: &str) -> Visit<'_> {
        let mut destinations = self.lock();
        let room = if let Some(room) = destinations.get(destination) {
            room.clone()
        } else {
            let room = Arc::new(Semaphore::new(self.per_destination));
            destinations.insert(destination.to_owned(), room.clone());
            room
        };
        Visit {
            bulkhead: self,
            destination: destination.to_owned(),
            room,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One exchange's interest in a destination; the last to leave forgets it.
struct Visit<'a> {
    bulkhead: &'a Bulkhead,
    destination: String,
    room: Arc<Semaphore>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let mut destinations = self.bulkhead.lock();
        // The map and this visit hold it; new visits are made under the lock.
        if Arc::strong_count(&self.room) <= 2 {
            destinations.remove(&self.destination);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stalled_destination_takes_no_room_from_others() {
        let bulkhead = Bulkhead::new(3, 2);
        let mut stalled: Vec<_> = (0..10)
            .map(|_| Box::pin(bulkhead.run("stalled:80", pending::<()>())))
            .collect();
        for exchange in &mut stalled {
            assert!(exchange.now_or_never().is_none());
        }
        assert!(
            bulkhead
                .run("healthy:80", async {})
                .now_or_never()
                .is_some()
        );
        drop(stalled);
        assert!(bulkhead.lock().is_empty(), "nobody's destination is kept");
    }

    #[tokio::test]
    async fn room_at_a_destination_is_handed_on() {
        let bulkhead = Bulkhead::new(8, 1);
        let mut first = Box::pin(bulkhead.run("a:80", pending::<()>()));
        assert!((&mut first).now_or_never().is_none());
        let mut second = Box::pin(bulkhead.run("a:80", async {}));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
