//! An operation, put together from those who know of it.

use std::future::Future;

use binnacle_domain::operation::Outcome;
use binnacle_proto::common::v1;
use binnacle_proto::time_from;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{APPLICATION, Error, Progress, made_at};
use crate::operations::{self, Receipt};

/// An operation. What is not known at the moment is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    pub operation_id: Uuid,
    /// `Create`, `Update` or `Delete`.
    pub operation_type: String,
    /// The mutation that asked for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operation_category: String,
    pub resource_type: String,
    pub resource_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<DateTime<Utc>>,
    pub status: Progress,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last reason behind the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<String>,
    /// When its resource took the outcome over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// Internal id of its tenant.
    #[serde(skip)]
    pub(super) tenant: Option<Uuid>,
}

/// How far one webhook of an operation has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Webhook {
    pub webhook_id: String,
    /// `WAITING`, `SENT`, `SUCCEEDED` or `FAILED`.
    pub state: &'static str,
    /// Calls started so far.
    pub calls: u32,
    /// Polls started so far.
    pub polls: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<DateTime<Utc>>,
    /// When it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

impl Operation {
    /// `pending` is only asked where the scheduler knows nothing.
    pub(super) async fn of<P, F>(
        receipt: Option<Receipt>,
        recorded: Option<v1::Operation>,
        pending: P,
    ) -> Result<Option<Self>, Error>
    where
        P: FnOnce() -> F,
        F: Future<Output = Result<Option<v1::OperationSpec>, operations::Error>>,
    {
        let operation = match recorded {
            Some(v1::Operation {
                spec: Some(spec),
                status,
            }) => Some(Self::of_spec(spec, status)),
            _ if receipt.is_some() => None,
            _ => pending().await?.map(|spec| Self::of_spec(spec, None)),
        };
        Ok(match (operation, receipt) {
            (Some(operation), Some(receipt)) => Some(operation.finalized(receipt)),
            (Some(operation), None) => Some(operation),
            (None, receipt) => receipt.map(Self::of_receipt),
        })
    }

    pub(super) fn of_receipt(receipt: Receipt) -> Self {
        Self {
            operation_id: receipt.operation.0,
            operation_type: receipt.operation_type.clone(),
            operation_category: String::new(),
            resource_type: APPLICATION.to_owned(),
            resource_id: receipt.resource.to_string(),
            correlation_id: String::new(),
            creation_time: made_at(receipt.operation.0),
            status: Progress::InProgress,
            error: None,
            error_detail: None,
            end_time: None,
            webhooks: Vec::new(),
            tenant: None,
        }
        .finalized(receipt)
    }

    fn finalized(self, receipt: Receipt) -> Self {
        let (status, error, detail) = match receipt.outcome {
            Outcome::Succeeded => (Progress::Succeeded, None, None),
            Outcome::Failed { error, detail } => (Progress::Failed, Some(error), Some(detail)),
        };
        Self {
            status,
            error,
            error_detail: detail.filter(|detail| !detail.is_empty()),
            end_time: Some(receipt.finalized_at),
            tenant: Some(receipt.tenant),
            ..self
        }
    }

    fn of_spec(spec: v1::OperationSpec, status: Option<v1::OperationStatus>) -> Self {
        let v1::OperationSpec {
            operation_id,
            operation_type,
            operation_category,
            resource,
            tenant_id,
            correlation_id,
            webhooks: _,
            related_resources: _,
            request_object: _,
            traceparent: _,
            create_time,
        } = spec;
        let resource = resource.unwrap_or_default();
        let progress = progress(status.as_ref());
        let status = status.unwrap_or_default();
        let failure = status.outcome.filter(|_| progress == Progress::Failed);
        let (error, detail) = failure
            .map(|failure| (failure.error, failure.detail))
            .unzip();
        let time = |time| time_from("time", time).ok();
        let is_over = progress != Progress::InProgress;
        Self {
            operation_id: operation_id.parse().unwrap_or_default(),
            operation_type: type_text(operation_type).to_owned(),
            operation_category,
            resource_type: resource.r#type,
            resource_id: resource.id,
            correlation_id,
            creation_time: time(create_time),
            status: progress,
            error,
            error_detail: detail.filter(|detail: &String| !detail.is_empty()),
            end_time: time(status.done_time.filter(|_| is_over)),
            webhooks: status.webhooks.into_iter().map(Webhook::from).collect(),
            tenant: tenant_id.parse().ok(),
        }
    }
}

impl From<v1::WebhookStatus> for Webhook {
    fn from(status: v1::WebhookStatus) -> Self {
        let state = match status.state() {
            v1::WebhookState::Unspecified | v1::WebhookState::Waiting => "WAITING",
            v1::WebhookState::Sent => "SENT",
            v1::WebhookState::Succeeded => "SUCCEEDED",
            v1::WebhookState::Failed => "FAILED",
        };
        let time = |time| time_from("time", time).ok();
        let is_open = matches!(state, "WAITING" | "SENT");
        Self {
            webhook_id: status.webhook_id,
            state,
            calls: status.calls,
            polls: status.polls,
            next_attempt_time: time(status.next_attempt_time.filter(|_| is_open)),
            deadline: time(status.deadline.filter(|_| is_open)),
            last_error: status.last_error,
        }
    }
}

/// An outcome counts once the resource carries it, so that a poll URL and this never disagree.
pub(super) fn progress(status: Option<&v1::OperationStatus>) -> Progress {
    match status.map(v1::OperationStatus::phase) {
        Some(v1::Phase::Succeeded) => Progress::Succeeded,
        Some(v1::Phase::Failed) => Progress::Failed,
        Some(v1::Phase::Unspecified | v1::Phase::InProgress | v1::Phase::Finalizing) | None => {
            Progress::InProgress
        }
    }
}

fn type_text(operation_type: i32) -> &'static str {
    match v1::OperationType::try_from(operation_type) {
        Ok(v1::OperationType::Create) => "Create",
        Ok(v1::OperationType::Delete) => "Delete",
        Ok(v1::OperationType::Update | v1::OperationType::Unspecified) | Err(_) => "Update",
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use binnacle_domain::operation::OperationId;

    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";
    const TENANT: &str = "01900000-0000-7000-8000-000000000002";

    fn spec() -> v1::OperationSpec {
        v1::OperationSpec {
            operation_id: ID.to_owned(),
            operation_type: v1::OperationType::Delete.into(),
            operation_category: "unregisterApplication".to_owned(),
            tenant_id: TENANT.to_owned(),
            ..v1::OperationSpec::default()
        }
    }

    fn recorded(phase: v1::Phase) -> v1::Operation {
        let outcome = v1::Outcome {
            succeeded: phase == v1::Phase::Succeeded,
            error: "it broke".to_owned(),
            detail: "503".to_owned(),
        };
        let status = v1::OperationStatus {
            phase: phase.into(),
            outcome: Some(outcome),
            webhooks: vec![v1::WebhookStatus::default()],
            ..v1::OperationStatus::default()
        };
        v1::Operation {
            spec: Some(spec()),
            status: Some(status),
        }
    }

    fn receipt(outcome: Outcome) -> Receipt {
        Receipt {
            operation: OperationId(ID.parse().unwrap()),
            tenant: TENANT.parse().unwrap(),
            resource: Uuid::nil(),
            operation_type: "Delete".to_owned(),
            outcome,
            finalized_at: DateTime::UNIX_EPOCH,
        }
    }

    async fn of(
        receipt: Option<Receipt>,
        recorded: Option<v1::Operation>,
        pending: Option<v1::OperationSpec>,
    ) -> Option<Operation> {
        let found = Operation::of(receipt, recorded, || ready(Ok(pending))).await;
        found.unwrap()
    }

    #[tokio::test]
    async fn an_outcome_counts_once_the_resource_carries_it() {
        let found = of(None, Some(recorded(v1::Phase::Finalizing)), None).await;
        let found = found.unwrap();
        assert_eq!((found.status, found.error), (Progress::InProgress, None));
        let found = of(None, Some(recorded(v1::Phase::Failed)), None).await;
        let found = found.unwrap();
        assert_eq!(found.status, Progress::Failed);
        assert_eq!(found.error.as_deref(), Some("it broke"));
        assert_eq!(found.error_detail.as_deref(), Some("503"));
    }

    #[tokio::test]
    async fn a_receipt_wins_over_a_scheduler_that_is_behind() {
        let behind = Some(recorded(v1::Phase::InProgress));
        let found = of(Some(receipt(Outcome::Succeeded)), behind, None).await;
        let found = found.unwrap();
        assert_eq!(found.status, Progress::Succeeded);
        assert_eq!(found.end_time, Some(DateTime::UNIX_EPOCH));
        assert_eq!(found.operation_category, "unregisterApplication");
        assert_eq!(found.webhooks.len(), 1);
    }

    #[tokio::test]
    async fn without_a_scheduler_the_registry_tells_what_it_knows() {
        let waiting = of(None, None, Some(spec())).await.unwrap();
        assert_eq!(waiting.status, Progress::InProgress);
        let ended = of(Some(receipt(Outcome::Succeeded)), None, None).await;
        let ended = ended.unwrap();
        assert_eq!(ended.status, Progress::Succeeded);
        for operation in [waiting, ended] {
            assert_eq!(operation.operation_type, "Delete");
            assert_eq!(operation.tenant, TENANT.parse().ok());
        }
        assert_eq!(of(None, None, None).await, None);
    }
}
