//! The database's time, without asking it every time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How old a reading may be.
const FRESH: Duration = Duration::from_secs(5);

/// A reading of the database's clock, carried forward by the monotonic one.
#[derive(Debug)]
pub(super) struct Clock(Mutex<Reading>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    micros: i64,
    at: Instant,
}

impl Clock {
    pub(super) fn new(micros: i64) -> Self {
        Self(Mutex::new(Reading {
            micros,
            at: Instant::now(),
        }))
    }

    fn reading(&self) -> Reading {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a reading that was asked for at `asked` and has come now.
    pub(super) fn set(&self, micros: i64, asked: Instant) {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *reading = reading.corrected(micros, asked, Instant::now());
    }

    /// Whether the database should be asked again.
    pub(super) fn is_stale(&self) -> bool {
        self.reading().at.elapsed() >= FRESH
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(super) fn now(&self) -> i64 {
        self.reading().at(Instant::now())
    }
}

impl Reading {
    /// The database read its clock at some time between `asked` and `at`, so the time lies between `micros` and that
    /// plus the way. What was believed is moved into that span and no further: an answer that was long on its way
    /// tells less than those before.
    fn corrected(self, micros: i64, asked: Instant, at: Instant) -> Self {
        let way = micros_of(at.saturating_duration_since(asked));
        Self {
            micros: self.at(at).clamp(micros, micros.saturating_add(way)),
            at,
        }
    }

    fn at(self, now: Instant) -> i64 {
        let Self { micros, at } = self;
        micros.saturating_add(micros_of(now.saturating_duration_since(at)))
    }
}

pub(crate) fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: i64 = 1_000_000_000;
    const SHIFT: i64 = 5_000_000;
    const WAY: Duration = Duration::from_millis(90);

    #[test]
    fn an_answer_that_was_long_on_its_way_does_not_set_the_clock_back() {
        let asked = Instant::now();
        let reading = Reading {
            micros: READ,
            at: asked,
        };
        let now = asked + WAY;
        let corrected = reading.corrected(READ, asked, now);
        assert_eq!(corrected.at(now), READ + micros_of(WAY));
    }

    #[test]
    fn a_clock_that_was_moved_is_followed_both_ways() {
        let asked = Instant::now();
        let reading = Reading {
            micros: READ,
            at: asked,
        };
        let now = asked + WAY;
        let moved = |micros| reading.corrected(micros, asked, now).at(now);
        assert_eq!(moved(READ + SHIFT), READ + SHIFT);
        assert_eq!(moved(READ - SHIFT), READ - SHIFT + micros_of(WAY));
    }
}
