//! The gRPC door.

use std::sync::Arc;

use binnacle_boot::failpoint;
use binnacle_domain::operation::{Operation, OperationId, bring_up_to_date};
use binnacle_proto::{
    Invalid,
    common::v1 as common,
    scheduler::v1,
    scheduler::v1::scheduler_service_server::SchedulerService,
    status::{Reason, refuse},
    uuid_from,
};
use futures::future::join_all;
use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use crate::{
    store::{self, Filter, PhaseFilter, Recorded},
    submission,
    watch::{self, View},
    work::{self, Work},
};

/// Submissions of one request, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;
const PAGE: i32 = 50;
const MAX_PAGE: i32 = 1000;
/// What the operations of one page may weigh, so that every client takes it.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The gRPC door. Clones share everything.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) work: Arc<Work>,
}

impl Service {
    fn store(&self) -> &store::Store {
        &self.work.claims.store
    }

    /// Records one submission: granted at once, where a worker has room.
    async fn submit(&self, submission: v1::Submission) -> v1::SubmissionResult {
        let spec = submission.spec.as_ref();
        let mut result = v1::SubmissionResult {
            operation_id: spec.map(|s| s.operation_id.clone()).unwrap_or_default(),
            ..Default::default()
        };
        let (spec, previous) = match submission::read(submission) {
            Ok(wanted) => wanted,
            Err(invalid) => {
                result.set_state(v1::SubmissionState::Invalid);
                result.reason = invalid.to_string();
                return result;
            }
        };
        let id = spec.id;
        match self.record(spec, previous).await {
            Ok(recorded) => answer(&mut result, recorded),
            Err(store::Error::Busy) => result.set_state(v1::SubmissionState::Retry),
            Err(store::Error::Refused) => {
                result.set_state(v1::SubmissionState::Invalid);
                "the database does not take it".clone_into(&mut result.reason);
            }
            Err(error) => {
                tracing::warn!(operation.id = %id, %error, "cannot record an operation");
                result.set_state(v1::SubmissionState::Retry);
            }
        }
        result
    }

    async fn record(
        &self,
        spec: binnacle_domain::operation::Spec,
        previous: Option<(OperationId, binnacle_domain::operation::Outcome)>,
    ) -> Result<Recorded, store::Error> {
        let claims = &self.work.claims;
        let (mut record, mut operation) = self.store().prepare(spec).await?;
        let id = operation.spec.id;
        record.previous = previous;
        let slot = claims.workers.reserve(id, record.destination);
        record.holder = slot.map(|slot| slot.session);
        let recorded = match self.store().record(record) {
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        };
        let is_new = matches!(recorded, Ok(Recorded::New));
        if is_new {
            failpoint::reach("scheduler.recorded");
            let correlation_id = &operation.spec.correlation_id;
            tracing::debug!(operation.id = %id, correlation.id = correlation_id, "recorded");
            claims.metrics.recorded();
        }
        match slot {
            Some(slot) if is_new => {
                operation.epoch = 1;
                claims.grant(slot, operation, false).await;
            }
            Some(slot) => claims.workers.cancel(slot, id),
            None if is_new => claims.workers.wake(),
            None => {}
        }
        recorded
    }
}

fn answer(result: &mut v1::SubmissionResult, recorded: Recorded) {
    let state = match recorded {
        Recorded::New | Recorded::Known => v1::SubmissionState::Recorded,
        Recorded::Concluded(outcome) => {
            result.outcome = Some(outcome.into());
            v1::SubmissionState::Concluded
        }
        Recorded::Conflict(other) => {
            result.conflicting_operation_id = other.to_string();
            v1::SubmissionState::Conflict
        }
        Recorded::Retry => v1::SubmissionState::Retry,
    };
    result.set_state(state);
}

#[tonic::async_trait]
impl SchedulerService for Service {
    async fn schedule(
        &self,
        request: Request<v1::ScheduleRequest>,
    ) -> Result<Response<v1::ScheduleResponse>, Status> {
        let request = request.into_inner();
        if request.encoded_len() > MAX_REQUEST {
            return Err(Status::from(Invalid {
                field: "submissions",
                reason: "must not be more than 1 MiB altogether".to_owned(),
            }));
        }
        let submissions = request.submissions.into_iter().map(|s| self.submit(s));
        let results = join_all(submissions).await;
        Ok(Response::new(v1::ScheduleResponse { results }))
    }

    async fn get_operation(
        &self,
        request: Request<v1::GetOperationRequest>,
    ) -> Result<Response<v1::GetOperationResponse>, Status> {
        let id = id_from(&request.into_inner().operation_id)?;
        let found = self.store().get(id).await.map_err(unavailable)?;
        let operation = found.ok_or_else(|| missing(id))?;
        Ok(Response::new(v1::GetOperationResponse {
            operation: Some(operation.into()),
        }))
    }

    async fn list_operations(
        &self,
        request: Request<v1::ListOperationsRequest>,
    ) -> Result<Response<v1::ListOperationsResponse>, Status> {
        let page = Page::try_from(request.into_inner())?;
        let limit = i64::try_from(page.size).unwrap_or(i64::MAX) + 1;
        let listed = self.store().list(&page.filter, page.before, limit).await;
        let operations = listed.map_err(unavailable)?;
        Ok(Response::new(page.answer(operations)))
    }

    async fn list_attempts(
        &self,
        request: Request<v1::ListAttemptsRequest>,
    ) -> Result<Response<v1::ListAttemptsResponse>, Status> {
        let id = id_from(&request.into_inner().operation_id)?;
        let found = self.store().get(id).await.map_err(unavailable)?;
        let operation = found.ok_or_else(|| missing(id))?;
        let mut attempts = self.store().attempts(id).await.map_err(unavailable)?;
        bring_up_to_date(&mut attempts, &operation.webhooks);
        Ok(Response::new(v1::ListAttemptsResponse {
            attempts: attempts.into_iter().map(Into::into).collect(),
        }))
    }

    type WatchOperationsStream = watch::Frames;

    async fn watch_operations(
        &self,
        request: Request<v1::WatchOperationsRequest>,
    ) -> Result<Response<watch::Frames>, Status> {
        let v1::WatchOperationsRequest { operation_id, view } = request.into_inner();
        let view = View::try_from(view)?;
        let (store, shutdown) = (self.store().clone(), &self.work.shutdown);
        if operation_id.is_empty() {
            return Ok(Response::new(watch::all(store, view, shutdown)));
        }
        let frames = watch::one(store, (id_from(&operation_id)?, view), shutdown).await?;
        Ok(Response::new(frames))
    }

    type WorkStream = work::Frames;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<work::Frames>, Status> {
        let work = Work::clone(&self.work);
        Ok(Response::new(work.open(request.into_inner())))
    }
}

/// A page that was asked for.
struct Page {
    size: usize,
    before: Uuid,
    filter: Filter,
}

impl TryFrom<v1::ListOperationsRequest> for Page {
    type Error = Invalid;

    fn try_from(request: v1::ListOperationsRequest) -> Result<Self, Invalid> {
        let v1::ListOperationsRequest {
            page_size,
            page_token,
            phase,
            resource_id,
            tenant_id,
        } = request;
        let size = match page_size {
            0 => PAGE,
            1..=MAX_PAGE => page_size,
            _ => {
                return Err(Invalid {
                    field: "page_size",
                    reason: format!("must be from 0 to {MAX_PAGE}"),
                });
            }
        };
        let phase = match common::Phase::try_from(phase) {
            Ok(common::Phase::Unspecified) => PhaseFilter::Any,
            Ok(common::Phase::InProgress) => PhaseFilter::InProgress,
            Ok(common::Phase::Finalizing) => PhaseFilter::Finalizing,
            Ok(common::Phase::Succeeded) => PhaseFilter::Succeeded,
            Ok(common::Phase::Failed) => PhaseFilter::Failed,
            Err(_) => {
                return Err(Invalid {
                    field: "phase",
                    reason: format!("{phase} is unknown"),
                });
            }
        };
        let given = |field, text: &str| {
            let given = Some(text).filter(|text| !text.is_empty());
            given.map(|text| uuid_from(field, text)).transpose()
        };
        Ok(Self {
            size: usize::try_from(size).unwrap_or_default(),
            before: given("page_token", &page_token)?.unwrap_or(Uuid::max()),
            filter: Filter {
                phase,
                resource: given("resource_id", &resource_id)?,
                tenant: given("tenant_id", &tenant_id)?,
            },
        })
    }
}

impl Page {
    /// The page of `operations`, of which there is one more than fits where there are more pages.
    fn answer(&self, operations: Vec<Operation>) -> v1::ListOperationsResponse {
        let mut response = v1::ListOperationsResponse::default();
        let mut weight = 0;
        let mut last = None;
        for operation in operations {
            let id = operation.spec.id;
            let operation = common::Operation::from(operation);
            weight += operation.encoded_len();
            let is_full = response.operations.len() == self.size
                || (weight > PAGE_BYTES && !response.operations.is_empty());
            if is_full {
                response.next_page_token = last
                    .map(|id: OperationId| id.to_string())
                    .unwrap_or_default();
                break;
            }
            last = Some(id);
            response.operations.push(operation);
        }
        response
    }
}

fn id_from(text: &str) -> Result<OperationId, Invalid> {
    uuid_from("operation_id", text).map(OperationId)
}

/// No operation has this id.
pub(crate) fn missing(id: OperationId) -> Status {
    refuse(
        Reason::NotFound,
        format!("operation {id} does not exist"),
        [("operation_id", id.to_string())],
    )
}

/// The database did not do its part. What it said goes to the log only.
pub(crate) fn unavailable(error: store::Error) -> Status {
    match error {
        store::Error::Unreadable { id, .. } => {
            tracing::error!(%error, "stored data is damaged");
            refuse(
                Reason::Internal,
                format!("what is stored about operation {id} cannot be read"),
                [("operation_id", id.to_string())],
            )
        }
        store::Error::Refused => refuse(Reason::Internal, "the database does not take it", []),
        store::Error::Busy => refuse(Reason::Overloaded, "too much is waiting to be written", []),
        store::Error::Database(source) => {
            tracing::warn!(error = %source, "the database failed");
            refuse(
                Reason::Unavailable,
                "the operations database does not answer",
                [],
            )
        }
        store::Error::Stopped => refuse(Reason::Unavailable, "the service is stopping", []),
    }
}
