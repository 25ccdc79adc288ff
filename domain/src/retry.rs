//! How long to wait and when to give up, as functions of what a webhook says.

use std::collections::HashMap;

use chrono::TimeDelta;

use crate::Time;

/// Retries of one destination, at most, before they are put off: one each 20 ms.
const GAP: TimeDelta = TimeDelta::milliseconds(20);
/// A retry is put off by so much at most, so that a system that is well again is soon found to be.
const LONGEST_DELAY: TimeDelta = TimeDelta::seconds(30);
/// Destinations that are kept in mind before the first look for those that need not be.
const FIRST_SWEEP: usize = 64;

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

/// Puts retries off where many operations retry one destination, so that a system that fails for all of them does
/// not cost the others their share: 50 retries a second go to it, or as many more as are needed for none to be put
/// off by more than 30 s. First tries and polls are not counted.
#[derive(Debug, Default)]
pub struct Spacing {
    /// Until when the retries of a destination are given out.
    taken_until: HashMap<String, Time>,
    /// At so many, those of the past are forgotten.
    sweep_at: usize,
}

impl Spacing {
    /// How much later than its interval says a retry is made that is recorded at `now`.
    pub fn delay(&mut self, destination: &str, now: Time) -> TimeDelta {
        if self.taken_until.len() >= self.sweep_at {
            self.taken_until.retain(|_, until| *until > now);
            self.sweep_at = FIRST_SWEEP.max(self.taken_until.len() * 2);
        }
        let taken_until = match self.taken_until.get_mut(destination) {
            Some(until) => until,
            None => self
                .taken_until
                .entry(destination.to_owned())
                .or_insert(now),
        };
        let place = (*taken_until).clamp(now, now + LONGEST_DELAY);
        *taken_until = place + GAP;
        place - now
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(milliseconds: i64) -> Time {
        DateTime::from_timestamp_millis(milliseconds).unwrap()
    }

    fn delays(spacing: &mut Spacing, times: impl Iterator<Item = i64>) -> Vec<i64> {
        times
            .map(|time| spacing.delay("a.test:80", at(time)).num_milliseconds())
            .collect()
    }

    #[test]
    fn fifty_retries_a_second_are_made_when_they_are_due() {
        let each_20_ms = (0..500).map(|n| n * 20);
        let delays = delays(&mut Spacing::default(), each_20_ms);
        assert!(delays.iter().all(|delay| *delay == 0));
    }

    #[test]
    fn retries_beyond_that_follow_one_another() {
        let mut spacing = Spacing::default();
        assert_eq!(delays(&mut spacing, [0; 4].into_iter()), [0, 20, 40, 60]);
        assert_eq!(delays(&mut spacing, [50, 70].into_iter()), [30, 30]);
        assert_eq!(delays(&mut spacing, [1_000].into_iter()), [0]);
    }

    #[test]
    fn no_retry_is_put_off_by_more_than_thirty_seconds() {
        let mut spacing = Spacing::default();
        let last = delays(&mut spacing, std::iter::repeat_n(0, 5_000)).pop();
        assert_eq!(last, Some(30_000));
        assert_eq!(delays(&mut spacing, [31_000].into_iter()), [0]);
    }

    #[test]
    fn destinations_do_not_wait_for_one_another() {
        let mut spacing = Spacing::default();
        delays(&mut spacing, [0; 100].into_iter());
        assert_eq!(spacing.delay("b.test:80", at(0)), TimeDelta::zero());
    }

    #[test]
    fn destinations_are_forgotten_when_their_retries_are_over() {
        let mut spacing = Spacing::default();
        for n in 0..10_000 {
            spacing.delay(&n.to_string(), at(n * 20));
        }
        assert!(spacing.taken_until.len() <= FIRST_SWEEP);
    }
}
