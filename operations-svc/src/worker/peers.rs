//! The streams that are up, and what is to go out on each at the end of a turn.

use std::collections::BTreeMap;
use std::time::Duration;

use binnacle_boot::Outbox;
use binnacle_proto::scheduler::v1;
use tokio::time::Instant;

use crate::link::{LinkId, executor, scheduler};

/// An executor may be sent this many times what it makes at once; the rest waits there for room,
/// so that calls to a stalled system do not keep others away.
const BACKLOG: usize = 4;
/// Calls of one turn that go to the same executor, where it has room for them: they leave in one frame.
const RUN: usize = 16;

#[derive(Default)]
pub(super) struct Schedulers {
    links: BTreeMap<LinkId, Scheduler>,
    /// Leases to give back once there is somebody to give them to.
    releases: Vec<scheduler::Word>,
}

struct Scheduler {
    outbox: Outbox<scheduler::Word>,
    words: Vec<scheduler::Word>,
    /// What it still may grant, as far as it was told.
    believed: usize,
    /// When the heartbeat that it has not answered was sent.
    heartbeat: Option<Instant>,
}

impl Schedulers {
    pub(super) fn up(&mut self, id: LinkId, outbox: Outbox<scheduler::Word>) {
        let link = Scheduler {
            outbox,
            words: std::mem::take(&mut self.releases),
            believed: 0,
            heartbeat: None,
        };
        self.links.insert(id, link);
    }

    pub(super) fn down(&mut self, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        let releases = link
            .words
            .into_iter()
            .filter(|word| matches!(word, scheduler::Word::Release(_)));
        for release in releases {
            self.release(id, release);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.links.len()
    }

    /// Says `word` to `home`, or to another if that is gone; `None`: there is nobody.
    pub(super) fn say(&mut self, home: LinkId, word: scheduler::Word) -> Option<LinkId> {
        let id = self.nearest(home)?;
        self.links.get_mut(&id)?.words.push(word);
        Some(id)
    }

    /// Gives a lease back, now or when there is somebody to give it to.
    pub(super) fn release(&mut self, home: LinkId, release: scheduler::Word) {
        match self.nearest(home).and_then(|id| self.links.get_mut(&id)) {
            Some(link) => link.words.push(release),
            None => self.releases.push(release),
        }
    }

    fn nearest(&self, home: LinkId) -> Option<LinkId> {
        if self.links.contains_key(&home) {
            return Some(home);
        }
        self.links.keys().next().copied()
    }

    pub(super) fn heartbeat(&mut self, at: Instant, lease: Duration, held: Option<&v1::Held>) {
        for link in self.links.values_mut() {
            // One that was never answered is sent again after a lease.
            if link.heartbeat.is_none_or(|sent| sent + lease < at) {
                link.heartbeat = Some(at);
                link.words.push(scheduler::Word::Heartbeat(held.cloned()));
            }
        }
    }

    /// When the heartbeat was sent that `id` answers now.
    pub(super) fn answered(&mut self, id: LinkId) -> Option<Instant> {
        self.links.get_mut(&id)?.heartbeat.take()
    }

    pub(super) fn granted(&mut self, id: LinkId, count: usize) {
        if let Some(link) = self.links.get_mut(&id) {
            link.believed = link.believed.saturating_sub(count);
        }
    }

    /// Sends what is to be said, and `room`, shared evenly, where that is news worth a word.
    pub(super) fn flush(&mut self, room: usize, capacity: usize) {
        let count = self.links.len().max(1);
        let share = room / count;
        let news = (capacity / 16 / count).max(1);
        for link in self.links.values_mut() {
            let differs = share.abs_diff(link.believed) >= news;
            if differs || (share == 0) != (link.believed == 0) {
                link.believed = share;
                let capacity = u32::try_from(share).unwrap_or(u32::MAX);
                link.words.push(scheduler::Word::Capacity(capacity));
            }
            if !link.words.is_empty() {
                link.outbox.extend(link.words.drain(..));
            }
        }
    }

    /// The last word to everybody.
    pub(super) fn goodbye(&mut self) {
        for link in self.links.values_mut() {
            link.words.push(scheduler::Word::Goodbye);
            link.outbox.extend(link.words.drain(..));
            link.outbox.close();
        }
    }
}

#[derive(Default)]
pub(super) struct Executors {
    links: BTreeMap<LinkId, Executor>,
    /// The executor that was called last in this turn, and how many calls more it may be given.
    run: Option<(LinkId, usize)>,
}

struct Executor {
    outbox: Outbox<executor::Word>,
    words: Vec<executor::Word>,
    limit: usize,
    calls: usize,
}

impl Executor {
    fn room(&self) -> usize {
        self.limit.saturating_sub(self.calls)
    }
}

impl Executors {
    pub(super) fn up(&mut self, id: LinkId, outbox: Outbox<executor::Word>, capacity: u32) {
        let link = Executor {
            outbox,
            words: Vec::new(),
            limit: capacity as usize * BACKLOG,
            calls: 0,
        };
        self.links.insert(id, link);
    }

    pub(super) fn down(&mut self, id: LinkId) {
        self.links.remove(&id);
    }

    pub(super) fn count(&self) -> usize {
        self.links.len()
    }

    pub(super) fn set_capacity(&mut self, id: LinkId, capacity: u32) {
        if let Some(link) = self.links.get_mut(&id) {
            link.limit = capacity as usize * BACKLOG;
        }
    }

    /// Calls under way.
    pub(super) fn calls(&self) -> usize {
        self.links.values().map(|link| link.calls).sum()
    }

    /// The executor to call next, if any has room: that of the turn's last call, or the one with the most room.
    pub(super) fn next(&self) -> Option<LinkId> {
        let has_room = |id: &LinkId| self.links.get(id).is_some_and(|link| link.room() > 0);
        if let Some((id, 1..)) = self.run
            && has_room(&id)
        {
            return Some(id);
        }
        let freest = self.links.iter().max_by_key(|(_, link)| link.room());
        freest.map(|(id, _)| *id).filter(has_room)
    }

    /// Sends a call.
    pub(super) fn call(&mut self, id: LinkId, word: executor::Word) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.calls += 1;
        link.words.push(word);
        let left = match self.run {
            Some((same, left @ 1..)) if same == id => left,
            _ => RUN,
        };
        self.run = Some((id, left - 1));
    }

    /// A call has ended: it was reported, or given up.
    pub(super) fn ended(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.calls = link.calls.saturating_sub(1);
        }
    }

    /// Gives up the calls of an operation.
    pub(super) fn abort(&mut self, id: LinkId, operation_id: String) {
        if let Some(link) = self.links.get_mut(&id) {
            link.words.push(executor::Word::Abort(operation_id));
        }
    }

    /// Tells all until when calls may be under way.
    pub(super) fn valid_until(&mut self, until: Instant) {
        for link in self.links.values_mut() {
            link.words.push(executor::Word::ValidUntil(until));
        }
    }

    pub(super) fn flush(&mut self) {
        self.run = None;
        for link in self.links.values_mut() {
            if !link.words.is_empty() {
                link.outbox.extend(link.words.drain(..));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_turn_keep_together_and_the_next_goes_where_there_is_more_room() {
        let mut executors = Executors::default();
        executors.up(1, Outbox::new(), 100);
        executors.up(2, Outbox::new(), 100);
        let mut turn = |calls: usize| {
            let called: Vec<LinkId> = (0..calls)
                .filter_map(|_| {
                    let id = executors.next()?;
                    let word = executor::Word::Abort(String::new());
                    executors.call(id, word);
                    Some(id)
                })
                .collect();
            executors.flush();
            called
        };
        let first = turn(1)[0];
        let second = 3 - first;
        assert_eq!(turn(3), [second; 3]);
        assert_eq!(turn(3), [first; 3]);
        let long = turn(RUN + 1);
        assert_eq!(long[..RUN], [second; RUN]);
        assert_eq!(long[RUN], first);
    }

    #[test]
    fn a_turn_goes_on_elsewhere_when_an_executor_has_no_room_left() {
        let mut executors = Executors::default();
        executors.up(1, Outbox::new(), 1);
        for _ in 0..BACKLOG {
            let id = executors.next().unwrap();
            executors.call(id, executor::Word::Abort(String::new()));
        }
        assert_eq!(executors.next(), None);
        executors.up(2, Outbox::new(), 1);
        assert_eq!(executors.next(), Some(2));
    }
}
