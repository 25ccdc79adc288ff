//! `binnacle.executor.v1` on the wire.

use std::pin::Pin;
use std::sync::Arc;

use binnacle_boot::{Outbox, Shutdown};
use binnacle_proto::executor::v1::executor_service_server::ExecutorService;
use binnacle_proto::executor::v1::{ExecuteRequest, ExecuteResponse, Welcome};
use binnacle_proto::status::{Reason, refuse};
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::exchange::Exchanges;
use crate::session::{Session, Word};

/// Reports in one frame, at most; each carries some KiB of text.
const MAX_REPORTS: usize = 256;

/// The service: all that its streams share.
pub(crate) struct Executor {
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) shutdown: Shutdown,
    pub(crate) capacity: u32,
}

#[tonic::async_trait]
impl ExecutorService for Executor {
    type ExecuteStream = Pin<Box<dyn Stream<Item = Result<ExecuteResponse, Status>> + Send>>;

    async fn execute(
        &self,
        request: Request<Streaming<ExecuteRequest>>,
    ) -> Result<Response<Self::ExecuteStream>, Status> {
        let mut frames = request.into_inner();
        let first = frames.message().await?.unwrap_or_default();
        let Some(hello) = first.hello.clone() else {
            return Err(refuse(
                Reason::InvalidArgument,
                "the first frame must say hello",
                [("field", "hello".to_owned())],
            ));
        };
        let outbox = Outbox::new();
        outbox.push(Word::Capacity(self.capacity));
        let session = Session::new(self.exchanges.clone(), outbox.clone());
        let shutdown = self.shutdown.clone();
        self.shutdown.spawn(async move {
            tracing::info!(session.id = hello.session_id, "a worker has come");
            session.run(first, frames, shutdown).await;
            tracing::info!(session.id = hello.session_id, "a worker has gone");
        });
        let responses = outbox.frames(MAX_REPORTS).map(|words| Ok(frame(words)));
        Ok(Response::new(Box::pin(responses)))
    }
}

fn frame(words: Vec<Word>) -> ExecuteResponse {
    let mut frame = ExecuteResponse::default();
    for word in words {
        match word {
            Word::Capacity(capacity) => frame.welcome = Some(Welcome { capacity }),
            Word::Report(report) => frame.reports.push(*report),
        }
    }
    frame
}
