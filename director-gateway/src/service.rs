//! `director.v1`: the registry's side of operations, for the other services.

use binnacle_domain::operation::{OperationId, Outcome};
use binnacle_proto::{
    director::v1::{
        Finalization, FinalizationResult, FinalizationState, FinalizeRequest, FinalizeResponse,
    },
    status::{Reason, refuse},
};
use futures::future::join_all;
use tonic::{Request, Response, Status};

use crate::operations::{Finalized, Operations};

/// Finalizations in one request, at most.
const MOST_FINALIZATIONS: usize = 256;

/// Serves `DirectorService`.
pub struct Service {
    operations: Operations,
}

impl Service {
    /// A service over the gateway's operations.
    pub fn new(operations: Operations) -> Self {
        Self { operations }
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
                tracing::warn!(
                    operation.id = operation_id,
                    error = &error as &dyn std::error::Error,
                    "an outcome was not applied; it is asked again"
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

    pub(crate) async fn finalize(
        &self,
        request: Request<FinalizeRequest>,
    ) -> Result<Response<FinalizeResponse>, Status> {
        let FinalizeRequest { finalizations } = request.into_inner();
        if finalizations.len() > MOST_FINALIZATIONS {
            let message = format!("finalizations: at most {MOST_FINALIZATIONS} in one request");
            return Err(refuse(
                Reason::InvalidArgument,
                message,
                [("field", "finalizations".to_owned())],
            ));
        }
        let results = join_all(finalizations.into_iter().map(|f| self.finalize_one(f))).await;
        Ok(Response::new(FinalizeResponse { results }))
    }
}
