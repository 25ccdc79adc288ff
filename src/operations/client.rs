//! A scheduler, as the commands see it.

use std::time::Duration;

use anyhow::anyhow;
use binnacle_boot::Shutdown;
use binnacle_boot::grpc::{Channel, InProcess, Peers};
use binnacle_proto::common::v1::{Attempt, Operation};
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_proto::scheduler::v1::{
    GetOperationRequest, ListAttemptsRequest, ListOperationsRequest, OperationView,
    WatchOperationsRequest, WatchOperationsResponse,
};
use tonic::{Code, Response, Status, Streaming};
use uuid::Uuid;

/// How long a scheduler may take to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Pages of operations with their request objects can be large.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A connection to a scheduler, made when it is first used.
pub(crate) struct Client {
    grpc: SchedulerServiceClient<Channel>,
    address: String,
    /// Ends the following of addresses with the client.
    shutdown: Shutdown,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

/// The changes of operations, as they come.
pub(crate) struct Changes {
    stream: Streaming<WatchOperationsResponse>,
    address: String,
}

impl Changes {
    /// The operations that changed; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Vec<Operation>>> {
        let next = self
            .stream
            .message()
            .await
            .map_err(|status| explain(&status, &self.address))?;
        Ok(next.map(|response| response.operations))
    }
}

impl Client {
    pub(crate) fn new(peers: &Peers) -> Self {
        let shutdown = Shutdown::new();
        let grpc = SchedulerServiceClient::new(peers.balanced(&InProcess::default(), &shutdown))
            .max_decoding_message_size(MAX_ANSWER);
        Self {
            grpc,
            address: peers.to_string(),
            shutdown,
        }
    }

    /// One operation.
    pub(crate) async fn get(&mut self, id: Uuid) -> anyhow::Result<Operation> {
        let request = GetOperationRequest {
            operation_id: id.to_string(),
        };
        let response = self
            .answer(self.grpc.clone().get_operation(request))
            .await?;
        response
            .operation
            .ok_or_else(|| anyhow!("the scheduler's answer holds no operation"))
    }

    /// The ledger of one operation, oldest first.
    pub(crate) async fn attempts(&mut self, id: Uuid) -> anyhow::Result<Vec<Attempt>> {
        let request = ListAttemptsRequest {
            operation_id: id.to_string(),
        };
        Ok(self
            .answer(self.grpc.clone().list_attempts(request))
            .await?
            .attempts)
    }

    /// A page of operations, newest first, and the token of the next page.
    pub(crate) async fn list(
        &mut self,
        request: ListOperationsRequest,
    ) -> anyhow::Result<(Vec<Operation>, String)> {
        let page = self
            .answer(self.grpc.clone().list_operations(request))
            .await?;
        Ok((page.operations, page.next_page_token))
    }

    /// The changes of one operation, or of all.
    pub(crate) async fn watch(&mut self, id: Option<Uuid>) -> anyhow::Result<Changes> {
        let operation_id = id.as_ref().map(Uuid::to_string).unwrap_or_default();
        let request = WatchOperationsRequest {
            operation_id,
            view: OperationView::Full.into(),
        };
        let stream = self
            .answer(self.grpc.clone().watch_operations(request))
            .await?;
        Ok(Changes {
            stream,
            address: self.address.clone(),
        })
    }

    async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> anyhow::Result<T> {
        match tokio::time::timeout(LIMIT, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(explain(&status, &self.address)),
            Err(_) => {
                let silent = Status::unavailable(format!("no answer within {} s", LIMIT.as_secs()));
                Err(explain(&silent, &self.address))
            }
        }
    }
}

/// Why a scheduler gave no answer, in words for whoever typed the command.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Refusal {
    text: String,
    code: Code,
}

fn explain(status: &Status, address: &str) -> anyhow::Error {
    let message = status.message();
    let code = status.code();
    let text = match code {
        Code::Unavailable => format!(
            "no scheduler answers at {address}: {message}; is it running? Another address is \
             given with --scheduler-addr"
        ),
        Code::NotFound | Code::InvalidArgument => message.to_owned(),
        code => format!("the scheduler at {address} answered {code:?}: {message}"),
    };
    Refusal { text, code }.into()
}

fn has_code(error: &anyhow::Error, codes: &[Code]) -> bool {
    error
        .downcast_ref::<Refusal>()
        .is_some_and(|refusal| codes.contains(&refusal.code))
}

/// Whether the same call may succeed in a moment.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    has_code(error, &[Code::Unavailable, Code::Unknown, Code::Cancelled])
}

/// Whether there is no such operation.
pub(crate) fn is_not_found(error: &anyhow::Error) -> bool {
    has_code(error, &[Code::NotFound])
}
