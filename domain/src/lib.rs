//! The pure core: what an operation is and what it does next, what webhooks say, how long to wait. It knows no
//! clock, no network and no database; it is told the time and decides.

pub mod operation;
pub mod retry;
pub mod template;
pub mod webhook;

/// A point in time. Nothing is ordered by it; it decides only what is due.
pub type Time = chrono::DateTime<chrono::Utc>;

/// Times in JSON as chrono has them, whose own way, through formatting that JSON then escapes, takes five times as
/// long. For serde's `serialize_with`.
pub mod rfc3339 {
    use chrono::SecondsFormat;
    use serde::Serializer;

    use super::Time;

    /// Like `2026-01-02T03:04:05.678Z`, with as many digits as it takes.
    pub fn serialize<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    /// The same, or null.
    pub fn serialize_option<S: Serializer>(
        time: &Option<Time>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }
}
