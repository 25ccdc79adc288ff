//! An operation and its states.
//!
//! An operation is the fold of its list of webhooks: it has succeeded when all of them have, and it has failed
//! when one of them has, after the others have settled. With no webhook it succeeds at once.
//!
//! | phase | who moves it on | and if they die |
//! |---|---|---|
//! | `Running` | the worker that holds the lease: sends what [`Operation::next`] says, folds reports in with [`Operation::record`], and saves | the lease lapses, another worker is granted the operation and carries on from what was saved |
//! | `Concluded` | any holder: asks the registry to apply the outcome | the next holder asks again; the registry applies it once |
//! | `Done` | nobody | – |
//!
//! | webhook | who moves it on | and if they die |
//! |---|---|---|
//! | `Waiting` | the holder, when `from` has come or the deadline has passed | the next holder; an attempt that may have been made stands in the ledger as unknown |
//! | `Sent` | the report of the executor | at `until` the attempt counts as lost and the webhook waits again |
//! | `Settled` | nobody | – |

mod attempt;
mod step;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use attempt::{
    Attempt, AttemptKind, AttemptResult, Exchange, MAX_TEXT_BYTES, bring_up_to_date,
};
pub use step::{Event, Recorded, Report, Send, Step, Verdict};

use crate::{Time, rfc3339, webhook::Webhook};

/// Id of an operation: a `UUIDv7` made by the gateway. Nothing relies on its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub Uuid);

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for OperationId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What an operation does to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OperationType {
    /// The resource is being made.
    Create,
    /// The resource is being changed.
    Update,
    /// The resource is being removed.
    Delete,
}

/// The mutation behind an update that removes what external systems made for an application.
pub const UNPAIR_APPLICATION: &str = "unpairApplication";

/// The only type of resource that operations are about so far.
pub const APPLICATION: &str = "application";

/// A resource of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// [`APPLICATION`].
    pub kind: String,
    /// Id of the resource.
    pub id: Uuid,
}

/// What was asked for: complete when the gateway accepts it, never changed afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Made by the gateway.
    pub id: OperationId,
    /// What it does to the resource.
    pub operation_type: OperationType,
    /// Name of the GraphQL mutation.
    pub category: String,
    /// At most one operation in progress has it (invariant I-1).
    pub resource: Resource,
    /// Internal id of the tenant that owns the resource.
    pub tenant: Uuid,
    /// Correlation id of the request that asked for it.
    pub correlation_id: String,
    /// The webhooks to drive, as they were at acceptance (invariant I-26).
    pub webhooks: Vec<Webhook>,
    /// Other resources that it touches.
    pub related_resources: Vec<Resource>,
    /// JSON text with the keys `Application`, `TenantID` and `Headers`: what templates are rendered against.
    pub request_object: String,
    /// W3C traceparent of the request that asked for it; empty when it was not traced.
    pub traceparent: String,
    /// When the gateway accepted it.
    pub created_at: Time,
}

impl Spec {
    /// Whether a webhook that answers "gone" has thereby done its work: there is nothing left to remove
    /// (contract section 4.3, row 16).
    pub fn gone_is_success(&self) -> bool {
        match self.operation_type {
            OperationType::Delete => true,
            OperationType::Update => self.category == UNPAIR_APPLICATION,
            OperationType::Create => false,
        }
    }
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every webhook succeeded.
    Succeeded,
    /// One did not.
    Failed {
        /// What the resource carries.
        error: String,
        /// The last reason behind it, where there is one more to tell; else empty.
        detail: String,
    },
}

/// Where an operation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Webhooks are being driven.
    Running,
    /// The outcome is recorded, unchangeable, and is being applied to the resource.
    Concluded(Outcome),
    /// The resource carries the outcome.
    Done(Outcome),
}

/// Where a webhook of an operation stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WebhookState {
    /// The next attempt is due at `from`.
    Waiting {
        /// When it is due.
        #[serde(serialize_with = "rfc3339::serialize")]
        from: Time,
    },
    /// An attempt is under way.
    Sent {
        /// When it counts as lost.
        #[serde(serialize_with = "rfc3339::serialize")]
        until: Time,
    },
    /// It has come to its end.
    Settled(Outcome),
}

/// A run of consecutive polls with the same in-progress answer, kept as one row of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of the run's first attempt.
    pub first: u32,
    /// What the answers have in common.
    pub fingerprint: u64,
    /// When its last attempt ended; `None` while that is the first.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "rfc3339::serialize_option"
    )]
    pub ended_at: Option<Time>,
}

/// The progress of one webhook. Only the holder of the lease changes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStatus {
    /// Id of the webhook.
    pub webhook_id: Uuid,
    /// Where it stands.
    pub state: WebhookState,
    /// Calls started so far.
    pub calls: u32,
    /// Polls started so far.
    pub polls: u32,
    /// The location to poll; `None` until the call was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_url: Option<String>,
    /// When it is given up; set when its first call starts.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "rfc3339::serialize_option"
    )]
    pub deadline: Option<Time>,
    /// When it was last polled.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "rfc3339::serialize_option"
    )]
    pub last_poll_at: Option<Time>,
    /// Why the last attempt was no success; empty when there is nothing to tell.
    pub last_error: String,
    /// The run that the last poll belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

impl WebhookStatus {
    /// A webhook that nobody has called.
    pub fn new(webhook_id: Uuid, from: Time) -> Self {
        Self {
            webhook_id,
            state: WebhookState::Waiting { from },
            calls: 0,
            polls: 0,
            poll_url: None,
            deadline: None,
            last_poll_at: None,
            last_error: String::new(),
            run: None,
        }
    }

    /// Number of the last attempt started, from 1; 0 before the first.
    pub fn attempts(&self) -> u32 {
        self.calls + self.polls
    }
}

/// An operation: what was asked for and how far it has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// What was asked for.
    pub spec: Spec,
    /// Where it stands.
    pub phase: Phase,
    /// One entry per webhook of the spec, in its order.
    pub webhooks: Vec<WebhookStatus>,
    /// Grows with every write of its row.
    pub version: u64,
    /// Grows with every grant of its lease; every write of a worker names it (invariant I-10).
    pub epoch: u64,
    /// When the scheduler recorded it.
    pub scheduled_at: Time,
    /// When its row was last written.
    pub updated_at: Time,
    /// When it reached its end.
    pub done_at: Option<Time>,
}

impl Operation {
    /// A newly recorded operation, due at once.
    pub fn new(spec: Spec, now: Time) -> Self {
        let webhooks = spec
            .webhooks
            .iter()
            .map(|w| WebhookStatus::new(w.id, now))
            .collect();
        Self {
            spec,
            phase: Phase::Running,
            webhooks,
            version: 1,
            epoch: 0,
            scheduled_at: now,
            updated_at: now,
            done_at: None,
        }
    }

    /// The recorded outcome, from its conclusion on.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Running => None,
            Phase::Concluded(outcome) | Phase::Done(outcome) => Some(outcome),
        }
    }
}
