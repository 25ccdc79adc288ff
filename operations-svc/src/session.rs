//! How long the worker's session is good for, by the monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

/// The session as the schedulers have last renewed it. Any of them may.
#[derive(Debug, Default)]
pub(crate) struct Session {
    lease: Option<Duration>,
    good_until: Option<Instant>,
    /// Whether it was good when it was last looked at.
    was_valid: bool,
}

impl Session {
    /// A scheduler has renewed it for `lease` from `since` on.
    pub(crate) fn renew(&mut self, lease: Duration, since: Instant) {
        self.lease = Some(lease);
        let until = since + lease;
        self.good_until = Some(self.good_until.map_or(until, |known| known.max(until)));
    }

    /// Until when calls may be under way: a fifth of the lease earlier than others may be granted
    /// what is held here.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        Some(self.good_until? - self.lease? / 5)
    }

    /// When it will have lapsed, unless it has.
    pub(crate) fn lapses_at(&self) -> Option<Instant> {
        self.valid_until().filter(|_| self.was_valid)
    }

    /// Says once that it is no longer good: what was granted may be somebody else's by now, even
    /// should it be renewed later.
    pub(crate) fn has_lapsed(&mut self, now: Instant) -> bool {
        let is_valid = self.is_valid(now);
        let lapsed = self.was_valid && !is_valid;
        self.was_valid = is_valid;
        lapsed
    }

    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.valid_until().is_some_and(|until| now < until)
    }

    /// How often it is renewed.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        Some(self.lease? / 3)
    }
}

/// Which heartbeats say what is held: a grant is lost only with the stream that should have brought it, and telling of
/// every operation costs both sides more than the heartbeat itself.
#[derive(Debug)]
pub(crate) struct Inventory {
    /// So many more do.
    wanted: u32,
    /// So many did not.
    passed: u32,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            wanted: Self::AFTER_A_LOSS,
            passed: 0,
        }
    }
}

impl Inventory {
    /// A scheduler frees only what was granted some seconds before, so that what is on its way is not taken for lost.
    const AFTER_A_LOSS: u32 = 3;
    /// All the same, one of so many.
    const ONE_OF: u32 = 12;

    /// A stream has ended: the next ones do.
    pub(crate) fn now(&mut self) {
        self.wanted = Self::AFTER_A_LOSS;
    }

    /// Whether the heartbeat that is due does.
    pub(crate) fn is_due(&mut self) -> bool {
        self.passed += 1;
        let is_due = self.wanted > 0 || self.passed >= Self::ONE_OF;
        self.wanted = self.wanted.saturating_sub(1);
        if is_due {
            self.passed = 0;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_told_after_a_loss_and_else_by_every_twelfth_heartbeat() {
        let mut inventory = Inventory::default();
        let mut told = |count: usize| (0..count).map(|_| inventory.is_due()).collect::<Vec<_>>();
        assert_eq!(told(4), [true, true, true, false]);
        assert_eq!(told(24).iter().filter(|told| **told).count(), 2);
        inventory.now();
        assert!(inventory.is_due());
    }
}
