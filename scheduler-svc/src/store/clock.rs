//! The database's time, without asking it every time.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How old a reading may be.
const FRESH: Duration = Duration::from_secs(1);

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

    pub(super) fn set(&self, micros: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Reading {
            micros,
            at: Instant::now(),
        };
    }

    /// Whether the database should be asked again.
    pub(super) fn is_stale(&self) -> bool {
        self.reading().at.elapsed() >= FRESH
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(super) fn now(&self) -> i64 {
        let Reading { micros, at } = self.reading();
        micros.saturating_add(micros_of(at.elapsed()))
    }
}

pub(crate) fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
