//! When held operations are to be looked at again: one moment each, at most.

use std::collections::BTreeSet;

use binnacle_domain::operation::OperationId;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, OperationId)>);

impl Timers {
    /// Sets, moves or clears the moment of `id`, which was at `slot` before.
    pub(crate) fn set(&mut self, id: OperationId, slot: &mut Option<Instant>, at: Option<Instant>) {
        if *slot == at {
            return;
        }
        if let Some(before) = slot.take() {
            self.0.remove(&(before, id));
        }
        if let Some(at) = at {
            self.0.insert((at, id));
        }
        *slot = at;
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes one whose moment has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<OperationId> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, id)| id)
    }
}
