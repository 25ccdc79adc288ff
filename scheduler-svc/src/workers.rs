//! The workers whose streams end here: who has room for what.
//!
//! Room is kept per stream, as its worker says it. A destination is given more as long as it holds less than what
//! is free: one stalled system takes half of a worker, two take two thirds, and however many there are, the others
//! find as much room as each of those has.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use binnacle_boot::Outbox;
use binnacle_domain::operation::OperationId;
use binnacle_proto::scheduler::v1;
use tokio::sync::Notify;
use tonic::Status;
use uuid::Uuid;

/// What is to be said on a worker's stream.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// The worker is known.
    Welcome,
    Granted(Box<v1::Grant>),
    Saved(v1::Saved),
    /// The session was renewed.
    Renewed,
    /// The end of the stream.
    Refused(Status),
}

/// Operations that one stream is given before it is another's turn, where it has room: they leave in one frame.
const RUN: u32 = 16;

/// Names a stream.
pub(crate) type StreamId = u64;

/// Room on a stream that is kept for an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) stream: StreamId,
    pub(crate) session: Uuid,
}

/// Room on a stream that is kept for a claim.
#[derive(Debug)]
pub(crate) struct Claimant {
    pub(crate) slot: Slot,
    pub(crate) limit: u32,
    /// Operations of one destination, at most.
    pub(crate) share: u32,
    /// Destinations of which the stream has enough.
    pub(crate) excluded: Vec<i64>,
}

#[derive(Debug)]
struct Stream {
    session: Uuid,
    outbox: Outbox<Outgoing>,
    room: u32,
    held: HashMap<OperationId, i64>,
    destinations: HashMap<i64, u32>,
}

impl Stream {
    fn has_room_for(&self, destination: i64) -> bool {
        let taken = self.destinations.get(&destination).copied().unwrap_or(0);
        taken < self.room
    }

    fn hold(&mut self, id: OperationId, destination: i64) {
        if self.held.insert(id, destination).is_none() {
            *self.destinations.entry(destination).or_default() += 1;
        }
    }

    fn let_go(&mut self, id: OperationId) -> bool {
        let Some(destination) = self.held.remove(&id) else {
            return false;
        };
        if let Some(count) = self.destinations.get_mut(&destination) {
            *count -= 1;
            if *count == 0 {
                self.destinations.remove(&destination);
            }
        }
        true
    }
}

#[derive(Debug, Default)]
struct Streams {
    open: BTreeMap<StreamId, Stream>,
    last_id: StreamId,
    /// The stream that was last given something: the next one is first in turn.
    turn: StreamId,
    /// What is left of its run; a claim is one by itself.
    left: u32,
}

impl Streams {
    /// The stream that comes next, of those that `suits`.
    fn in_turn(&mut self, suits: impl Fn(&Stream) -> bool) -> Option<StreamId> {
        let after = (Bound::Excluded(self.turn), Bound::Unbounded);
        let found = self
            .open
            .range(after)
            .chain(self.open.range(..=self.turn))
            .find(|(_, stream)| suits(stream))
            .map(|(id, _)| *id)?;
        self.turn = found;
        self.left = 0;
        Some(found)
    }

    /// The stream whose turn it is, as long as it `suits`; else the one that comes next.
    fn in_run(&mut self, suits: impl Fn(&Stream) -> bool) -> Option<StreamId> {
        if self.left == 0 || !self.open.get(&self.turn).is_some_and(&suits) {
            self.in_turn(suits)?;
            self.left = RUN;
        }
        self.left -= 1;
        Some(self.turn)
    }
}

/// The workers whose streams end here.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    streams: Mutex<Streams>,
    wake: Notify,
    /// Something may be due that nobody had room for.
    backlog: AtomicBool,
}

impl Workers {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever claims: something may be due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Wakes whoever claims if something waits for room.
    pub(crate) fn wake_for_room(&self) {
        if self.backlog.swap(false, Ordering::Relaxed) {
            self.wake();
        }
    }

    /// Whether a stream has room. If none has, the next that has wakes whoever claims.
    pub(crate) fn have_room(&self) -> bool {
        let streams = self.streams();
        let have_room = streams.open.values().any(|stream| stream.room > 0);
        if !have_room {
            self.backlog.store(true, Ordering::Relaxed);
        }
        have_room
    }

    /// Completes when there may be something to claim.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// A name for a stream to come.
    pub(crate) fn name(&self) -> StreamId {
        let mut streams = self.streams();
        streams.last_id += 1;
        streams.last_id
    }

    /// Welcomes a worker: from now on its stream may be given operations.
    pub(crate) fn open(&self, id: StreamId, session: Uuid, outbox: Outbox<Outgoing>, room: u32) {
        let mut streams = self.streams();
        outbox.push(Outgoing::Welcome);
        let stream = Stream {
            session,
            outbox,
            room,
            held: HashMap::new(),
            destinations: HashMap::new(),
        };
        streams.open.insert(id, stream);
        drop(streams);
        self.wake();
    }

    /// The stream is given nothing any more.
    pub(crate) fn close(&self, id: StreamId) {
        self.streams().open.remove(&id);
    }

    /// A session that opens a stream has lost the one that it had here.
    pub(crate) fn close_session(&self, session: Uuid) {
        self.streams()
            .open
            .retain(|_, stream| stream.session != session);
    }

    /// How many operations the stream can take.
    pub(crate) fn set_room(&self, id: StreamId, room: u32) {
        if let Some(stream) = self.streams().open.get_mut(&id) {
            stream.room = room;
        }
        if room > 0 {
            self.wake_for_room();
        }
    }

    /// Keeps room for an operation, where there is some.
    pub(crate) fn reserve(&self, id: OperationId, destination: i64) -> Option<Slot> {
        let mut streams = self.streams();
        let found = streams.in_run(|stream| stream.has_room_for(destination))?;
        let stream = streams.open.get_mut(&found)?;
        stream.room -= 1;
        stream.hold(id, destination);
        Some(Slot {
            stream: found,
            session: stream.session,
        })
    }

    /// Gives room back that was kept for an operation.
    pub(crate) fn cancel(&self, slot: Slot, id: OperationId) {
        if let Some(stream) = self.streams().open.get_mut(&slot.stream)
            && stream.let_go(id)
        {
            stream.room += 1;
        }
    }

    /// Sends a grant, unless the stream is gone.
    pub(crate) fn grant(&self, slot: Slot, grant: v1::Grant) -> bool {
        match self.streams().open.get(&slot.stream) {
            Some(stream) => {
                stream.outbox.push(Outgoing::Granted(Box::new(grant)));
                true
            }
            None => false,
        }
    }

    /// The operation is no longer the stream's. Its worker says by itself when it has room again.
    pub(crate) fn settled(&self, id: StreamId, operation: OperationId) {
        if let Some(stream) = self.streams().open.get_mut(&id) {
            stream.let_go(operation);
        }
    }

    /// Keeps room for a claim of at most `limit` operations, where a stream has some.
    pub(crate) fn claimant(&self, limit: u32) -> Option<Claimant> {
        let mut streams = self.streams();
        let found = streams.in_turn(|stream| stream.room > 0)?;
        let stream = streams.open.get_mut(&found)?;
        let limit = limit.min(stream.room);
        // So that it still holds no more than what is free once the claim has added its share.
        let share = (stream.room / 4).clamp(1, limit);
        let excluded = stream
            .destinations
            .iter()
            .filter(|(_, count)| **count + 2 * share > stream.room)
            .map(|(destination, _)| *destination)
            .collect();
        stream.room -= limit;
        Some(Claimant {
            slot: Slot {
                stream: found,
                session: stream.session,
            },
            limit,
            share,
            excluded,
        })
    }

    /// Takes the operations into account that a claim brought, and gives the other room back.
    pub(crate) fn claimed(&self, claimant: &Claimant, operations: &[(OperationId, i64)]) {
        if let Some(stream) = self.streams().open.get_mut(&claimant.slot.stream) {
            let taken = u32::try_from(operations.len()).unwrap_or(u32::MAX);
            stream.room += claimant.limit.saturating_sub(taken);
            for (id, destination) in operations {
                stream.hold(*id, *destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> OperationId {
        OperationId(Uuid::from_u128(number))
    }

    fn with_room(room: u32) -> (Workers, StreamId) {
        let workers = Workers::default();
        let stream = workers.name();
        workers.open(stream, Uuid::from_u128(7), Outbox::new(), room);
        (workers, stream)
    }

    #[test]
    fn one_destination_takes_half_of_a_stream() {
        let (workers, stream) = with_room(10);
        let taken = (0..10)
            .filter(|n| workers.reserve(id(*n), 1).is_some())
            .count();
        assert_eq!(taken, 5);
        assert!(workers.reserve(id(11), 2).is_some());
        workers.settled(stream, id(0));
        workers.set_room(stream, 5);
        assert!(workers.reserve(id(12), 1).is_some());
    }

    #[test]
    fn two_destinations_leave_as_much_room_as_each_of_them_takes() {
        let (workers, _) = with_room(12);
        let taken = |destination: i64| {
            let ids = (0..12).map(|n| id(u128::from(destination.unsigned_abs()) * 100 + n));
            ids.filter(|id| workers.reserve(*id, destination).is_some())
                .count()
        };
        assert_eq!([taken(1), taken(2), taken(3)], [6, 3, 2]);
        assert!(workers.reserve(id(1), 4).is_some());
    }

    #[test]
    fn a_claim_leaves_out_whoever_could_come_to_hold_more_than_is_free() {
        let (workers, _) = with_room(16);
        for n in 0..6 {
            workers.reserve(id(n), 1).unwrap();
        }
        workers.reserve(id(6), 2).unwrap();
        let claimant = workers.claimant(100).unwrap();
        assert_eq!((claimant.limit, claimant.share), (9, 2));
        assert_eq!(claimant.excluded, [1]);
    }

    #[test]
    fn a_cancelled_reservation_frees_its_room() {
        let (workers, _) = with_room(2);
        let slot = workers.reserve(id(1), 1).unwrap();
        assert!(workers.reserve(id(2), 1).is_none());
        workers.cancel(slot, id(1));
        assert!(workers.reserve(id(2), 1).is_some());
    }

    #[test]
    fn what_a_claim_did_not_use_is_free_again() {
        let (workers, _) = with_room(8);
        let claimant = workers.claimant(100).unwrap();
        assert_eq!(claimant.limit, 8);
        assert!(workers.claimant(100).is_none());
        workers.claimed(&claimant, &[(id(1), 1)]);
        assert_eq!(workers.claimant(100).unwrap().limit, 7);
    }

    #[test]
    fn streams_take_turns_of_several_operations() {
        let (workers, first) = with_room(100);
        let second = workers.name();
        workers.open(second, Uuid::from_u128(8), Outbox::new(), 100);
        let ids = (0..=2 * u128::from(RUN)).map(id).zip(1..);
        let slots = ids.filter_map(|(id, destination)| workers.reserve(id, destination));
        let given: Vec<_> = slots.map(|slot| slot.stream).collect();
        let runs = given.chunk_by(|a, b| a == b);
        let runs: Vec<_> = runs.map(|run| (run[0], run.len())).collect();
        let run = RUN as usize;
        assert_eq!(runs, [(first, run), (second, run), (first, 1)]);
        assert_eq!(workers.claimant(1).unwrap().slot.stream, second);
        assert_eq!(workers.reserve(id(100), 100).unwrap().stream, first);
    }

    #[test]
    fn a_run_goes_on_elsewhere_where_its_stream_has_no_room() {
        let (workers, first) = with_room(2);
        let second = workers.name();
        workers.open(second, Uuid::from_u128(8), Outbox::new(), 10);
        let ids = (0..4).map(id).zip(1..);
        let slots = ids.filter_map(|(id, destination)| workers.reserve(id, destination));
        let given: Vec<_> = slots.map(|slot| slot.stream).collect();
        assert_eq!(given, [first, first, second, second]);
    }

    #[test]
    fn a_grant_for_a_stream_that_is_gone_is_not_sent() {
        let (workers, stream) = with_room(1);
        let slot = workers.reserve(id(1), 1).unwrap();
        workers.close(stream);
        assert!(!workers.grant(slot, v1::Grant::default()));
    }
}
