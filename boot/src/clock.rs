//! The one place that reads the wall clock. Everything else is handed the time as a value.

use chrono::{DateTime, Utc};

/// The wall-clock time. Decisions about stored deadlines use the database's time instead.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that reads the clock"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
