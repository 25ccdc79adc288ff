//! How long to wait and when to give up, as functions of what a webhook says.

use chrono::TimeDelta;

/// What a resource carries whose webhook was given up (Compass's text, contract section 4.3, row 15).
pub const TIMEOUT_REACHED: &str = "webhook timeout reached";

/// Between two tries or polls: `retryInterval` in seconds; `None` is 120 s (Compass's requeue interval), 0 is
/// 1 s, since trying again at once would be a busy loop.
pub fn interval(retry_interval: Option<u32>) -> TimeDelta {
    TimeDelta::seconds(i64::from(retry_interval.unwrap_or(120).max(1)))
}

/// From the first call until the webhook is given up: `timeout` in seconds; `None` is two hours. 0 gives it up
/// without a call, as Compass does.
pub fn timeout(timeout: Option<u32>) -> TimeDelta {
    TimeDelta::seconds(i64::from(timeout.unwrap_or(7200)))
}
