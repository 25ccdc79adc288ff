//! What somebody who polls is told.
//!
//! A resource's poll URL is answered from its row, and from the receipt of its deletion once the row is gone.
//! An operation is looked for where it can be known, in the order of truth: the receipts, the
//! scheduler, the outbox. An accepted operation is always in one of them, so its answer is never
//! "unknown" and never goes back from an end; the scheduler may be away, and then only says less.

mod operation;

use std::sync::Arc;
use std::time::Duration;

use binnacle_boot::Shutdown;
use binnacle_boot::grpc::Channel;
use binnacle_domain::operation::OperationType;
use binnacle_proto::common::v1;
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_proto::scheduler::v1::{GetOperationRequest, OperationView, WatchOperationsRequest};
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::operations::{self, Operations, operation_type_text};
use crate::registry::whole::{Whole, With};
use crate::registry::{self, Registry, application};

pub use binnacle_domain::operation::APPLICATION;
pub use operation::{Operation, Webhook};

/// How long the scheduler may take to tell what it knows.
const SCHEDULER: Duration = Duration::from_secs(1);
/// How often the registry is looked at while the scheduler cannot be watched.
const LOOK: Duration = Duration::from_secs(1);

/// How far an operation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Progress {
    InProgress,
    Succeeded,
    Failed,
}

/// The last operation of a resource, with Compass's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastOperation {
    /// `Create`, `Update` or `Delete`.
    pub operation_type: String,
    pub resource_id: Uuid,
    pub resource_type: &'static str,
    pub creation_time: DateTime<Utc>,
    pub status: Progress,
    /// JSON text with the member `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why nothing can be told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the resource")]
    Registry(#[source] Arc<registry::Error>),
    #[error("cannot read the operation")]
    Operations(#[from] operations::Error),
}

impl From<registry::Error> for Error {
    fn from(error: registry::Error) -> Self {
        Self::Registry(Arc::new(error))
    }
}

/// Looks up how far operations have come.
#[derive(Clone)]
pub struct Polls {
    registry: Registry,
    operations: Operations,
    scheduler: SchedulerServiceClient<Channel>,
    shutdown: Shutdown,
}

impl Polls {
    pub fn new(
        registry: Registry,
        operations: Operations,
        scheduler: SchedulerServiceClient<Channel>,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            registry,
            operations,
            scheduler,
            shutdown,
        }
    }

    /// The last operation of an application of the tenant.
    pub async fn last_operation(
        &self,
        tenant: Uuid,
        resource: Uuid,
    ) -> Result<Option<LastOperation>, Error> {
        let nothing_else = With::default();
        let found = self.registry.application(tenant, resource, nothing_else);
        if let Some(Whole { application, .. }) = found.await? {
            return Ok(Some(of_application(application)));
        }
        let receipt = self.operations.deletion(tenant, resource).await?;
        Ok(receipt.map(|receipt| LastOperation {
            operation_type: receipt.operation_type,
            resource_id: resource,
            resource_type: APPLICATION,
            creation_time: made_at(receipt.operation.0).unwrap_or(receipt.finalized_at),
            status: Progress::Succeeded,
            error: None,
        }))
    }

    /// An operation of the tenant, after its end or after `wait`.
    pub async fn operation(
        &self,
        tenant: Uuid,
        id: Uuid,
        wait: Duration,
    ) -> Result<Option<Operation>, Error> {
        let end = Instant::now() + wait;
        loop {
            let found = self.look_up(tenant, id).await?;
            let is_going_on = found
                .as_ref()
                .is_some_and(|found| found.status == Progress::InProgress);
            let left = end.saturating_duration_since(Instant::now());
            if !is_going_on || left.is_zero() || self.shutdown.is_cancelled() {
                return Ok(found);
            }
            tokio::select! {
                () = self.ended(id) => {}
                () = sleep(left) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }

    async fn look_up(&self, tenant: Uuid, id: Uuid) -> Result<Option<Operation>, Error> {
        let receipt = self.operations.receipt(id).await?;
        let recorded = self.recorded(id).await;
        let mut found = Operation::of(receipt, recorded, || self.operations.pending(id)).await?;
        if found.is_none() {
            // It may have been finalized between the first look and the last.
            found = self
                .operations
                .receipt(id)
                .await?
                .map(Operation::of_receipt);
        }
        Ok(found.filter(|operation| operation.tenant == Some(tenant)))
    }

    /// What the scheduler knows; nothing when it is away.
    async fn recorded(&self, id: Uuid) -> Option<v1::Operation> {
        let mut scheduler = self.scheduler.clone();
        let request = GetOperationRequest {
            operation_id: id.to_string(),
        };
        match timeout(SCHEDULER, scheduler.get_operation(request)).await {
            Ok(Ok(response)) => response.into_inner().operation,
            Ok(Err(status)) if status.code() == tonic::Code::NotFound => None,
            Ok(Err(status)) => {
                tracing::debug!(operation.id = %id, %status, "the scheduler does not answer");
                None
            }
            Err(_) => None,
        }
    }

    /// Completes when an operation has ended, as far as the scheduler tells; otherwise when it is
    /// time to look again.
    async fn ended(&self, id: Uuid) {
        let mut scheduler = self.scheduler.clone();
        let request = WatchOperationsRequest {
            operation_id: id.to_string(),
            view: OperationView::Basic.into(),
        };
        if let Ok(Ok(response)) = timeout(SCHEDULER, scheduler.watch_operations(request)).await {
            let mut changes = response.into_inner();
            while let Ok(Some(change)) = changes.message().await {
                let has_ended = change.operations.iter().any(|operation| {
                    operation::progress(operation.status.as_ref()) != Progress::InProgress
                });
                if has_ended {
                    return;
                }
            }
        }
        sleep(LOOK).await;
    }
}

/// As Compass derives it from the row, but for creations, which it takes for updates.
fn of_application(row: application::Model) -> LastOperation {
    let creation = ["CREATING", "CREATE_SUCCEEDED", "CREATE_FAILED"];
    let (operation_type, creation_time) = if let Some(deleted_at) = row.deleted_at {
        (OperationType::Delete, deleted_at)
    } else if creation.contains(&row.status_condition.as_str()) {
        (OperationType::Create, row.created_at)
    } else if let Some(updated_at) = row.updated_at {
        (OperationType::Update, updated_at.max(row.created_at))
    } else {
        (OperationType::Create, row.created_at)
    };
    let status = match (row.ready && row.operation_id.is_none(), &row.error) {
        (false, _) => Progress::InProgress,
        (true, None) => Progress::Succeeded,
        (true, Some(_)) => Progress::Failed,
    };
    LastOperation {
        operation_type: operation_type_text(operation_type).to_owned(),
        resource_id: row.id,
        resource_type: APPLICATION,
        creation_time,
        status,
        error: row.error.filter(|_| status != Progress::InProgress),
    }
}

/// When an operation's id was made.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}
