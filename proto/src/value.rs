//! Values that every message uses.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// A message that says something impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Invalid {
    /// Path of the field, as in the contract.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl Invalid {
    /// A field that must not be absent or unspecified.
    pub fn missing(field: &'static str) -> Self {
        Self {
            field,
            reason: "must be given".to_owned(),
        }
    }
}

/// A UUID in its usual spelling.
pub fn uuid_from(field: &'static str, text: &str) -> Result<Uuid, Invalid> {
    text.parse().map_err(|_| Invalid {
        field,
        reason: format!("`{text}` is not a UUID"),
    })
}

/// A point in time, to the nanosecond.
pub fn time_to(time: DateTime<Utc>) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or_default();
    prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos,
    }
}

/// A point in time that must be given.
pub fn time_from(
    field: &'static str,
    time: Option<prost_types::Timestamp>,
) -> Result<DateTime<Utc>, Invalid> {
    let time = time.ok_or_else(|| Invalid::missing(field))?;
    u32::try_from(time.nanos)
        .ok()
        .and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos))
        .ok_or_else(|| Invalid {
            field,
            reason: "is out of range".to_owned(),
        })
}

/// A span of time.
pub fn duration_to(span: TimeDelta) -> prost_types::Duration {
    prost_types::Duration {
        seconds: span.num_seconds(),
        nanos: span.subsec_nanos(),
    }
}

/// A span of time that must not be negative.
pub fn duration_from(
    field: &'static str,
    span: prost_types::Duration,
) -> Result<TimeDelta, Invalid> {
    u32::try_from(span.nanos)
        .ok()
        .filter(|_| span.seconds >= 0)
        .and_then(|nanos| TimeDelta::new(span.seconds, nanos))
        .ok_or_else(|| Invalid {
            field,
            reason: "is out of range".to_owned(),
        })
}
