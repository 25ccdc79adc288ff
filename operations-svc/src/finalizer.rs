//! Hands recorded outcomes to the registry, many at a time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use binnacle_boot::Shutdown;
use binnacle_boot::grpc::Channel;
use binnacle_domain::operation::{OperationId, Outcome};
use binnacle_proto::director::v1::director_service_client::DirectorServiceClient;
use binnacle_proto::director::v1::{
    Finalization, FinalizationResult, FinalizeRequest, FinalizeResponse,
};
use tokio::sync::mpsc;
use tonic::Status;

use crate::link::Event;

/// The most that the contract allows in one call.
const MAX_BATCH: usize = 256;
/// Calls under way at once; what gathers meanwhile is the next batch.
const MAX_CALLS: usize = 2;
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) struct Finalizer {
    client: DirectorServiceClient<Channel>,
    events: mpsc::Sender<Event>,
    shutdown: Shutdown,
    queue: VecDeque<(OperationId, Outcome)>,
    calls: usize,
}

impl Finalizer {
    pub(crate) fn new(channel: Channel, events: mpsc::Sender<Event>, shutdown: Shutdown) -> Self {
        Self {
            client: DirectorServiceClient::new(channel),
            events,
            shutdown,
            queue: VecDeque::new(),
            calls: 0,
        }
    }

    /// Has `outcome` applied; the answer comes as an event.
    pub(crate) fn push(&mut self, id: OperationId, outcome: Outcome) {
        self.queue.push_back((id, outcome));
    }

    /// A call that [`Finalizer::flush`] started has ended.
    pub(crate) fn ended(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    /// Starts calls for what has gathered.
    pub(crate) fn flush(&mut self) {
        while self.calls < MAX_CALLS && !self.queue.is_empty() {
            let count = self.queue.len().min(MAX_BATCH);
            let batch: Vec<_> = self.queue.drain(..count).collect();
            self.calls += 1;
            let (client, events) = (self.client.clone(), self.events.clone());
            self.shutdown.spawn(async move {
                let answers = finalize(client, batch).await;
                // Without a worker there is nobody to tell; the next holder asks again.
                let _ = events.send(Event::Finalized(answers)).await;
            });
        }
    }
}

async fn finalize(
    mut client: DirectorServiceClient<Channel>,
    batch: Vec<(OperationId, Outcome)>,
) -> Vec<(OperationId, Option<FinalizationResult>)> {
    let ids: Vec<OperationId> = batch.iter().map(|(id, _)| *id).collect();
    let finalizations = batch
        .into_iter()
        .map(|(id, outcome)| Finalization {
            operation_id: id.to_string(),
            outcome: Some(outcome.into()),
        })
        .collect();
    let call = client.finalize(FinalizeRequest { finalizations });
    let answer = match tokio::time::timeout(DEADLINE, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer")),
    };
    let results = match answer {
        Ok(FinalizeResponse { results }) => results,
        Err(status) => {
            tracing::warn!(%status, outcomes = ids.len(), "the registry did not apply outcomes");
            Vec::new()
        }
    };
    let mut results: HashMap<String, FinalizationResult> = results
        .into_iter()
        .map(|result| (result.operation_id.clone(), result))
        .collect();
    ids.into_iter()
        .map(|id| (id, results.remove(&id.to_string())))
        .collect()
}
