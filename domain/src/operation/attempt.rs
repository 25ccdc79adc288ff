//! The ledger: what was tried, when, and what came of it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Run, WebhookState, WebhookStatus};
use crate::Time;

/// The most bytes that a ledger row keeps of a request line, an answer or a reason.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Whether an attempt calls the webhook or polls its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AttemptKind {
    /// The webhook is called.
    Call,
    /// The location is polled.
    Poll,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AttemptResult {
    /// The external system has finished.
    Succeeded,
    /// The call was accepted; its location will be polled.
    Accepted,
    /// The external system is still working.
    InProgress,
    /// A failure that is final.
    Failed,
    /// The external system answered that the resource is gone: final.
    Gone,
    /// No success, or no answer: tried again.
    Retried,
    /// Started, and nobody knows what came of it.
    Unknown,
}

/// What is known of one HTTP exchange. Texts are bounded by [`MAX_TEXT_BYTES`] and carry no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// When it started.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Time,
    /// HTTP status code of the answer; `None`: there was none.
    pub status_code: Option<u16>,
    /// Method and URL.
    pub request: String,
    /// The beginning of the answer's body.
    pub response: String,
}

impl Exchange {
    /// One of which nobody knows more than that it was over at a time.
    pub(super) fn unknown(at: Time) -> Self {
        Self {
            started_at: at,
            ended_at: at,
            status_code: None,
            request: String::new(),
            response: String::new(),
        }
    }
}

/// A row of the ledger: one attempt, or a run of polls with the same in-progress answer.
///
/// While a run goes on, its row stays as its first attempt made it, and what the run has come to stands in the
/// webhook's status ([`bring_up_to_date`]); the row is written again when the run has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Id of the webhook.
    pub webhook_id: Uuid,
    /// From 1, without gaps within the webhook (invariant I-8); of a run, its first.
    pub number: u32,
    /// How many consecutive attempts the row stands for, at least 1.
    pub count: u32,
    /// Call or poll.
    pub kind: AttemptKind,
    /// What came of it.
    pub result: AttemptResult,
    /// The exchange; of a run, its first, but for the end, which is that of its last.
    pub exchange: Exchange,
    /// Why it was no success; else empty.
    pub error: String,
    /// When the next attempt is due; `None`: there is none.
    pub next_attempt_at: Option<Time>,
}

/// Tells equal in-progress answers from others (FNV-1a, stable across versions since it is stored).
fn fingerprint(exchange: &Exchange) -> u64 {
    let code = exchange.status_code.unwrap_or_default().to_be_bytes();
    code.iter()
        .chain(exchange.response.as_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// The run that an attempt still in progress belongs to: the one before it, or its own.
pub(super) fn run_with(before: Option<Run>, attempt: u32, exchange: &Exchange) -> Run {
    let fingerprint = fingerprint(exchange);
    match before {
        Some(run) if run.fingerprint == fingerprint => Run {
            ended_at: Some(exchange.ended_at),
            ..run
        },
        _ => Run {
            first: attempt,
            fingerprint,
            ended_at: None,
        },
    }
}

/// What a run of several attempts has come to: the texts of its row are left out.
pub(super) fn run_so_far(status: &WebhookStatus) -> Option<Attempt> {
    let run = status.run?;
    let (last, next_attempt_at) = match status.state {
        WebhookState::Waiting { from } => (status.attempts(), Some(from)),
        // Whether the attempt under way is one of the run, its answer will say.
        WebhookState::Sent { .. } => (status.attempts().saturating_sub(1), status.last_poll_at),
        WebhookState::Settled(_) => return None,
    };
    // A version that does not know when a run's last attempt ended may have passed it on.
    let ended_at = run.ended_at.or(status.last_poll_at)?;
    (last > run.first).then(|| Attempt {
        webhook_id: status.webhook_id,
        number: run.first,
        count: last - run.first + 1,
        kind: AttemptKind::Poll,
        result: AttemptResult::InProgress,
        exchange: Exchange::unknown(ended_at),
        error: String::new(),
        next_attempt_at,
    })
}

/// Makes stored rows of the ledger say how far the runs have come that still go on in `webhooks`.
pub fn bring_up_to_date(ledger: &mut [Attempt], webhooks: &[WebhookStatus]) {
    for run in webhooks.iter().filter_map(run_so_far) {
        let row = ledger
            .iter_mut()
            .find(|row| row.webhook_id == run.webhook_id && row.number == run.number);
        if let Some(row) = row
            && row.count < run.count
        {
            row.count = run.count;
            row.exchange.ended_at = run.exchange.ended_at;
            row.next_attempt_at = run.next_attempt_at;
        }
    }
}

/// The ledger row of the last attempt of a webhook whose new state is already set.
pub(super) fn row(
    status: &WebhookStatus,
    result: AttemptResult,
    exchange: Exchange,
    error: String,
) -> Attempt {
    Attempt {
        webhook_id: status.webhook_id,
        number: status.attempts(),
        count: 1,
        kind: if status.poll_url.is_some() {
            AttemptKind::Poll
        } else {
            AttemptKind::Call
        },
        result,
        exchange,
        error,
        next_attempt_at: match status.state {
            WebhookState::Waiting { from } => Some(from),
            _ => None,
        },
    }
}
