//! Operations as `--output json` shows them: names as in the contract, times in RFC 3339, nothing
//! where there is nothing to say.

use binnacle_proto::common::v1::{
    Attempt, AttemptKind, AttemptResult, Condition, Operation, OperationSpec, OperationStatus,
    Outcome, Resource, WebhookState, WebhookStatus,
};
use binnacle_proto::time_from;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

type Time = Option<DateTime<Utc>>;

/// A time to be shown: one that makes no sense is left out.
macro_rules! time {
    ($time:expr) => {
        time_from("time", $time).ok()
    };
}

#[derive(Debug, Serialize)]
pub(crate) struct OperationView {
    pub(crate) operation_id: String,
    pub(crate) operation_type: String,
    pub(crate) operation_category: String,
    pub(crate) resource_type: String,
    pub(crate) resource_id: String,
    pub(crate) tenant_id: String,
    pub(crate) correlation_id: String,
    pub(crate) webhook_ids: Vec<String>,
    pub(crate) related_resources: Vec<ResourceView>,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) request_object: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) traceparent: String,
    pub(crate) create_time: Time,
    pub(crate) status: StatusView,
}

#[derive(Debug, Serialize)]
pub(crate) struct ResourceView {
    #[serde(rename = "type")]
    resource_type: String,
    id: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    pub(crate) phase: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) detail: String,
    pub(crate) conditions: Vec<ConditionView>,
    pub(crate) webhooks: Vec<WebhookView>,
    pub(crate) version: u64,
    pub(crate) epoch: u64,
    pub(crate) schedule_time: Time,
    pub(crate) update_time: Time,
    pub(crate) done_time: Time,
}

#[derive(Debug, Serialize)]
pub(crate) struct ConditionView {
    #[serde(rename = "type")]
    condition_type: String,
    status: bool,
    message: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct WebhookView {
    pub(crate) webhook_id: String,
    pub(crate) state: String,
    pub(crate) calls: u32,
    pub(crate) polls: u32,
    pub(crate) poll_url: String,
    pub(crate) next_attempt_time: Time,
    pub(crate) deadline: Time,
    pub(crate) last_poll_time: Time,
    pub(crate) last_error: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct AttemptView {
    pub(crate) webhook_id: String,
    pub(crate) number: u32,
    pub(crate) count: u32,
    pub(crate) kind: String,
    pub(crate) result: String,
    pub(crate) start_time: Time,
    pub(crate) end_time: Time,
    pub(crate) status_code: u32,
    pub(crate) request: String,
    pub(crate) response: String,
    pub(crate) error: String,
    pub(crate) next_attempt_time: Time,
}

/// The name of an enum value without the prefix that the contract's style asks for.
fn name(full: &str, prefix: &str) -> String {
    full.strip_prefix(prefix).unwrap_or(full).to_owned()
}

impl From<&Operation> for OperationView {
    fn from(operation: &Operation) -> Self {
        let spec = operation.spec.clone().unwrap_or_default();
        let operation_type = name(spec.operation_type().as_str_name(), "OPERATION_TYPE_");
        let OperationSpec {
            operation_id,
            operation_type: _,
            operation_category,
            resource,
            tenant_id,
            correlation_id,
            webhooks,
            related_resources,
            request_object,
            traceparent,
            create_time,
        } = spec;
        let Resource {
            r#type: resource_type,
            id: resource_id,
        } = resource.unwrap_or_default();
        Self {
            operation_id,
            operation_type,
            operation_category,
            resource_type,
            resource_id,
            tenant_id,
            correlation_id,
            webhook_ids: webhooks.into_iter().map(|webhook| webhook.id).collect(),
            related_resources: related_resources
                .into_iter()
                .map(ResourceView::from)
                .collect(),
            request_object: serde_json::from_str(&request_object).unwrap_or_default(),
            traceparent,
            create_time: time!(create_time),
            status: operation.status.clone().unwrap_or_default().into(),
        }
    }
}

impl From<Resource> for ResourceView {
    fn from(resource: Resource) -> Self {
        let Resource {
            r#type: resource_type,
            id,
        } = resource;
        Self { resource_type, id }
    }
}

impl From<OperationStatus> for StatusView {
    fn from(status: OperationStatus) -> Self {
        let phase = name(status.phase().as_str_name(), "PHASE_");
        let OperationStatus {
            phase: _,
            conditions,
            webhooks,
            outcome,
            version,
            epoch,
            schedule_time,
            update_time,
            done_time,
        } = status;
        let Outcome {
            succeeded,
            error,
            detail,
        } = outcome.unwrap_or(Outcome {
            succeeded: true,
            ..Outcome::default()
        });
        Self {
            phase,
            error: (!succeeded).then_some(error),
            detail,
            conditions: conditions.into_iter().map(ConditionView::from).collect(),
            webhooks: webhooks.into_iter().map(WebhookView::from).collect(),
            version,
            epoch,
            schedule_time: time!(schedule_time),
            update_time: time!(update_time),
            done_time: time!(done_time),
        }
    }
}

impl From<Condition> for ConditionView {
    fn from(condition: Condition) -> Self {
        let Condition {
            r#type: condition_type,
            status,
            message,
        } = condition;
        Self {
            condition_type,
            status,
            message,
        }
    }
}

impl From<WebhookStatus> for WebhookView {
    fn from(webhook: WebhookStatus) -> Self {
        let state = name(
            WebhookState::as_str_name(&webhook.state()),
            "WEBHOOK_STATE_",
        );
        let WebhookStatus {
            webhook_id,
            state: _,
            calls,
            polls,
            poll_url,
            next_attempt_time,
            deadline,
            last_poll_time,
            last_error,
            run_first_number: _,
            run_fingerprint: _,
            run_end_time: _,
            failure_detail: _,
        } = webhook;
        Self {
            webhook_id,
            state,
            calls,
            polls,
            poll_url,
            next_attempt_time: time!(next_attempt_time),
            deadline: time!(deadline),
            last_poll_time: time!(last_poll_time),
            last_error,
        }
    }
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> Self {
        let kind = name(AttemptKind::as_str_name(&attempt.kind()), "ATTEMPT_KIND_");
        let result = name(
            AttemptResult::as_str_name(&attempt.result()),
            "ATTEMPT_RESULT_",
        );
        let Attempt {
            webhook_id,
            number,
            count,
            kind: _,
            result: _,
            start_time,
            end_time,
            status_code,
            request,
            response,
            error,
            next_attempt_time,
        } = attempt.clone();
        Self {
            webhook_id,
            number,
            count,
            kind,
            result,
            start_time: time!(start_time),
            end_time: time!(end_time),
            status_code,
            request,
            response,
            error,
            next_attempt_time: time!(next_attempt_time),
        }
    }
}
