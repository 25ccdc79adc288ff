//! How many exchanges run at once, altogether and with one destination.
//!
//! A call first waits for room at its destination and only then for room in the process, so that
//! a system which has stalled holds up nobody but those who wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

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

    /// Room for one more exchange with `destination`, as soon as there is some.
    pub(crate) async fn room(&self, destination: String) -> Room<'_> {
        let visit = self.visit(destination);
        // The semaphores are never closed, so what they answer is a permit.
        let there = visit.room.clone().acquire_owned().await.ok();
        let here = self.all.acquire().await.ok();
        Room {
            _here: here,
            _there: there,
            _visit: visit,
        }
    }

    fn visit(&self, destination: String) -> Visit<'_> {
        let mut destinations = self.lock();
        let room = if let Some(room) = destinations.get(&destination) {
            room.clone()
        } else {
            let room = Arc::new(Semaphore::new(self.per_destination));
            destinations.insert(destination.clone(), room.clone());
            room
        };
        Visit {
            bulkhead: self,
            destination,
            room,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.destinations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one exchange takes up; it is free again when this is dropped.
pub(crate) struct Room<'a> {
    _here: Option<SemaphorePermit<'a>>,
    _there: Option<OwnedSemaphorePermit>,
    /// Behind the permit, which counts as one more who holds the semaphore.
    _visit: Visit<'a>,
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
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_stalled_destination_takes_no_room_from_others() {
        let bulkhead = Bulkhead::new(3, 2);
        let room = |destination: &str| Box::pin(bulkhead.room(destination.to_owned()));
        let mut waiting: Vec<_> = (0..10).map(|_| room("stalled:80")).collect();
        let stalled: Vec<_> = waiting
            .iter_mut()
            .filter_map(FutureExt::now_or_never)
            .collect();
        assert_eq!(stalled.len(), 2);
        assert!(room("healthy:80").now_or_never().is_some());
        drop((stalled, waiting));
        assert!(bulkhead.lock().is_empty(), "nobody's destination is kept");
    }

    #[tokio::test]
    async fn room_at_a_destination_is_handed_on() {
        let bulkhead = Bulkhead::new(8, 1);
        let first = bulkhead.room("a:80".to_owned()).await;
        let mut second = Box::pin(bulkhead.room("a:80".to_owned()));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
    }
}
