//! `director.v1`: the registry's side of operations, for the other services.

use binnacle_boot::ids;
use binnacle_domain::operation::{APPLICATION, OperationId, Outcome};
use binnacle_proto::director::v1::director_service_server::DirectorService;
use binnacle_proto::director::v1::{
    AcceptRequest, AcceptResponse, Finalization, FinalizationResult, FinalizationState,
    FinalizeRequest, FinalizeResponse,
};
use binnacle_proto::status::{Reason, refuse};
use binnacle_proto::{Invalid, uuid_from};
use futures::future::join_all;
use http::HeaderMap;
use tonic::{Request, Response, Status};

use crate::operations::{Finalized, Operations};
use crate::registry::{self, Registry};
use crate::start::{self, Mutation, Origin};

/// Finalizations in one request, at most.
const MOST_FINALIZATIONS: usize = 256;

/// Serves `DirectorService`.
pub(crate) struct Service {
    registry: Registry,
    operations: Operations,
    public_url: String,
}

impl Service {
    pub(crate) fn new(registry: Registry, operations: Operations, public_url: String) -> Self {
        Self {
            registry,
            operations,
            public_url,
        }
    }

    async fn finalize_one(&self, finalization: Finalization) -> FinalizationResult {
        let Finalization {
            operation_id,
            outcome,
        } = finalization;
        let finalized = match (operation_id.parse(), outcome) {
            (Ok(id), Some(outcome)) => {
                self.operations
                    .finalize(OperationId(id), Outcome::from(outcome))
                    .await
            }
            _ => Ok(Finalized::Unknown),
        };
        let (state, outcome) = match finalized {
            Ok(Finalized::Applied(outcome)) => (FinalizationState::Applied, Some(outcome)),
            Ok(Finalized::AlreadyApplied(outcome)) => {
                (FinalizationState::AlreadyApplied, Some(outcome))
            }
            Ok(Finalized::ResourceGone(outcome)) => {
                (FinalizationState::ResourceGone, Some(outcome))
            }
            Ok(Finalized::Unknown) => (FinalizationState::Unknown, None),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    operation.id = operation_id,
                    error,
                    "an outcome was not applied"
                );
                (FinalizationState::Retry, None)
            }
        };
        FinalizationResult {
            operation_id,
            state: state.into(),
            outcome: outcome.map(Into::into),
        }
    }
}

#[tonic::async_trait]
impl DirectorService for Service {
    async fn accept(
        &self,
        request: Request<AcceptRequest>,
    ) -> Result<Response<AcceptResponse>, Status> {
        let AcceptRequest {
            tenant,
            operation_category,
            resource,
            correlation_id,
        } = request.into_inner();
        let mutation = Mutation::from_name(&operation_category).ok_or_else(|| Invalid {
            field: "operation_category",
            reason: "must be unregisterApplication or unpairApplication".to_owned(),
        })?;
        let resource = resource.ok_or_else(|| Invalid::missing("resource"))?;
        if resource.r#type != APPLICATION {
            let reason = format!("must be {APPLICATION}");
            return Err(Invalid {
                field: "resource.type",
                reason,
            }
            .into());
        }
        let id = uuid_from("resource.id", &resource.id)?;
        let correlation_id = match correlation_id {
            given if given.is_empty() => ids::v4().to_string(),
            given => given,
        };
        let origin = Origin::new(&HeaderMap::new(), &correlation_id);
        let found = self
            .registry
            .tenant_of_caller(&tenant)
            .await
            .map_err(status)?;
        let tenant = found.ok_or_else(|| status(registry::Error::TenantNotFound(tenant)))?;
        let target = (tenant.id, id);
        let started =
            start::start(&self.registry, &self.operations, target, mutation, origin).await;
        let (_, operation) = started.map_err(status)?;
        Ok(Response::new(AcceptResponse {
            operation_id: operation.to_string(),
            location: format!("{}/last_operation/{APPLICATION}/{id}", self.public_url),
        }))
    }

    async fn finalize(
        &self,
        request: Request<FinalizeRequest>,
    ) -> Result<Response<FinalizeResponse>, Status> {
        let FinalizeRequest { finalizations } = request.into_inner();
        if finalizations.len() > MOST_FINALIZATIONS {
            let reason = format!("at most {MOST_FINALIZATIONS} in one request");
            return Err(Invalid {
                field: "finalizations",
                reason,
            }
            .into());
        }
        let results = join_all(finalizations.into_iter().map(|f| self.finalize_one(f))).await;
        Ok(Response::new(FinalizeResponse { results }))
    }
}

fn status(error: registry::Error) -> Status {
    use registry::Error;
    let message = error.to_string();
    match error {
        Error::NotFound { .. } => refuse(Reason::NotFound, message, []),
        Error::TenantNotFound(tenant) => refuse(Reason::NotFound, message, [("tenant", tenant)]),
        Error::Concurrent { operation_id, .. } => {
            let id = operation_id.map(|id| id.to_string()).unwrap_or_default();
            refuse(Reason::ConcurrentOperation, message, [("operation_id", id)])
        }
        Error::ConcurrentUpdate => refuse(Reason::Unavailable, message, []),
        Error::Database(_) | Error::Failed(_) | Error::Stopped => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "an operation was not accepted");
            refuse(Reason::Unavailable, message, [])
        }
        _ => refuse(Reason::FailedPrecondition, message, []),
    }
}
