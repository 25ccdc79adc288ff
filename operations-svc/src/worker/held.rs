//! One operation in the worker's hands.

use std::time::Duration;

use binnacle_domain::Time;
use binnacle_domain::operation::{Attempt, Event, Operation, OperationId, Outcome, Recorded};
use binnacle_proto::Invalid;
use binnacle_proto::scheduler::v1::Grant;
use chrono::{DateTime, TimeDelta};
use tokio::time::Instant;

use crate::link::LinkId;
use crate::metrics::Metrics;

/// Before a finalization is asked for again: the first pause, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What an operation waits for. Only one that is [`Stage::Free`] takes a step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// For nothing but time and reports.
    Free,
    /// For a scheduler to save what has changed.
    Saving(Then),
    /// For the registry to apply the outcome.
    Finalizing,
    /// For a scheduler to take note of the end, with the registry's outcome if that differs.
    Ending(Option<Outcome>),
}

/// What comes after a save.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Then {
    /// The next step.
    GoOn,
    /// Nothing: the lease goes back with it, for so long.
    LetGo(TimeDelta),
    /// The outcome is recorded.
    Conclude(Outcome),
}

/// A call under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnderWay {
    pub(super) executor: LinkId,
    pub(super) webhook: usize,
    pub(super) attempt: u32,
}

/// An operation in the worker's hands.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) operation: Operation,
    /// The scheduler that granted it.
    pub(super) home: LinkId,
    /// The scheduler whose answer is awaited; `None` while there is none to ask.
    pub(super) asked: Option<LinkId>,
    pub(super) stage: Stage,
    pub(super) calls: Vec<UnderWay>,
    /// Whether it differs from what was last sent to be saved.
    pub(super) changed: bool,
    /// Ledger rows that go with the next save.
    pub(super) rows: Vec<Attempt>,
    /// Those of the save under way.
    pub(super) rows_sent: Vec<Attempt>,
    /// Its moment in the worker's timers.
    pub(super) timer: Option<Instant>,
    /// Its place in the queue for an executor.
    pub(super) queued: Option<u64>,
    /// It waits for time alone, and keeps its lease.
    pub(super) dozing: bool,
    granted_at: (Time, Instant),
    pause: Duration,
}

impl Held {
    pub(super) fn new(grant: Grant, home: LinkId, at: Instant) -> Result<Self, Invalid> {
        let Grant {
            operation,
            orphaned,
            now_unix_micros,
        } = grant;
        let operation: Operation = operation
            .ok_or_else(|| Invalid::missing("grants.operation"))?
            .try_into()?;
        let now = DateTime::from_timestamp_micros(now_unix_micros)
            .ok_or_else(|| Invalid::missing("grants.now_unix_micros"))?;
        let mut held = Self {
            operation,
            home,
            asked: None,
            stage: Stage::Free,
            calls: Vec::new(),
            changed: false,
            rows: Vec::new(),
            rows_sent: Vec::new(),
            timer: None,
            queued: None,
            dozing: false,
            granted_at: (now, at),
            pause: FIRST_PAUSE,
        };
        if orphaned {
            held.rows = held.operation.take_over(now);
            held.changed = !held.rows.is_empty();
        }
        Ok(held)
    }

    pub(super) fn id(&self) -> OperationId {
        self.operation.spec.id
    }

    /// The database's time, by the monotonic clock since the grant.
    pub(super) fn now(&self, at: Instant) -> Time {
        let (time, instant) = self.granted_at;
        let since = at.saturating_duration_since(instant);
        time + TimeDelta::from_std(since).unwrap_or_default()
    }

    /// Folds in what is to be saved.
    pub(super) fn record(&mut self, event: Event, now: Time, metrics: &Metrics) -> bool {
        let Recorded::Changed { ended, rows } = self.operation.record(event, now) else {
            return false;
        };
        if let Some(result) = ended {
            metrics.attempt(result);
        }
        self.rows.extend(rows);
        self.changed = true;
        true
    }

    /// Takes back a save that was not answered, so that it is sent again with what has come since.
    pub(super) fn unsend(&mut self) {
        let since = std::mem::take(&mut self.rows);
        self.rows = std::mem::take(&mut self.rows_sent);
        self.rows.extend(since);
        self.changed = true;
        self.stage = Stage::Free;
    }

    /// How long to wait before the registry is asked again.
    pub(super) fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }
}
