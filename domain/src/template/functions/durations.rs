//! Lengths of time, in nanoseconds.

use super::{Function, Type, fixed};
use crate::template::value::Value;

const ANY: Type = Type::Any;

pub(super) static TABLE: &[Function] = &[
    fixed("duration", &[ANY], |call| {
        // As in the library, only texts are taken for seconds.
        let seconds = match call.arg(0) {
            Value::Str(text) => text.parse().unwrap_or(0),
            Value::Int64(seconds) => *seconds,
            _ => 0,
        };
        call.done(duration_text(seconds.saturating_mul(1_000_000_000)))
    }),
    fixed("durationRound", &[ANY], |call| {
        let nanoseconds = match call.arg(0) {
            Value::Str(text) => parse_duration(text).unwrap_or(0),
            Value::Int64(number) => *number,
            _ => 0,
        };
        call.done(rounded(nanoseconds))
    }),
];

const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration as Go writes it, in nanoseconds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a duration that does not fit is cut off"
)]
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..length].parse().ok()?;
        let unit = rest[length..].find(|c: char| c.is_ascii_digit() || c == '.');
        let end = unit.map_or(rest.len(), |unit| length + unit);
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[length..end])?;
        total += number * unit.1;
        rest = &rest[end..];
    }
    Some((sign * total) as i64)
}

fn duration_text(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let sign = if seconds < 0 { "-" } else { "" };
    let size = seconds.unsigned_abs();
    match (size / 3600, size / 60 % 60, size % 60) {
        (0, 0, seconds) => format!("{sign}{seconds}s"),
        (0, minutes, seconds) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// The largest unit that the duration exceeds.
fn rounded(nanoseconds: i64) -> String {
    const UNITS: [(u64, &str); 6] = [
        (365 * 24 * 3600, "y"),
        (30 * 24 * 3600, "mo"),
        (24 * 3600, "d"),
        (3600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    const SECOND: u64 = 1_000_000_000;
    let size = nanoseconds.unsigned_abs();
    match UNITS.iter().find(|(length, _)| size > length * SECOND) {
        Some((length, name)) => format!("{}{name}", size / (length * SECOND)),
        None => "0s".to_owned(),
    }
}
