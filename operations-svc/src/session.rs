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
