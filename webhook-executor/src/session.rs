//! One worker's stream: which of its calls are under way, and when they are to be given up.
//!
//! An exchange is given up when the worker says so, when the worker's session is no longer good,
//! and when the stream breaks: then somebody else may be granted the operation, and two calls for
//! it must not run side by side. What was given up is not reported; the worker knows.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use binnacle_boot::{Outbox, Shutdown};
use binnacle_proto::executor::v1::{Call, CallReport, ExecuteRequest};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tonic::Streaming;

use crate::exchange::Exchanges;

/// How long exchanges under way may go on once the service is to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// What is said to a worker.
pub(crate) enum Word {
    /// How many calls the stream takes.
    Capacity(u32),
    /// What came of a call.
    Report(Box<CallReport>),
}

/// Operation, webhook and attempt of a call.
type Key = (String, u32, u32);

/// The calls of one stream.
pub(crate) struct Session {
    exchanges: Arc<Exchanges>,
    outbox: Outbox<Word>,
    tasks: JoinSet<Key>,
    under_way: BTreeMap<Key, AbortHandle>,
    valid_until: Option<Instant>,
}

impl Session {
    pub(crate) fn new(exchanges: Arc<Exchanges>, outbox: Outbox<Word>) -> Self {
        Self {
            exchanges,
            outbox,
            tasks: JoinSet::new(),
            under_way: BTreeMap::new(),
            valid_until: None,
        }
    }

    /// Makes the calls of `frames` until they end, or until the shutdown and then for up to [`DRAIN`].
    pub(crate) async fn run(
        mut self,
        first: ExecuteRequest,
        mut frames: Streaming<ExecuteRequest>,
        shutdown: Shutdown,
    ) {
        self.take(first);
        let mut last = None;
        loop {
            tokio::select! {
                frame = frames.message() => match frame {
                    Ok(Some(frame)) => self.take(frame),
                    Ok(None) => break,
                    Err(status) => {
                        tracing::debug!(%status, "the stream of a worker broke");
                        break;
                    }
                },
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                () = at(self.valid_until) => self.expire(),
                () = shutdown.cancelled(), if last.is_none() => {
                    last = Some(Instant::now() + DRAIN);
                    self.outbox.push(Word::Capacity(0));
                }
                () = at(last) => break,
            }
            if last.is_some() && self.under_way.is_empty() {
                break;
            }
        }
        self.outbox.close();
    }

    fn take(&mut self, frame: ExecuteRequest) {
        let ExecuteRequest {
            hello: _,
            calls,
            abort_operation_ids,
            session_valid_for,
        } = frame;
        let arrived = Instant::now();
        if let Some(valid) = session_valid_for {
            // What cannot be read is no time at all: the worker's next word replaces it.
            self.valid_until = Some(arrived + Duration::try_from(valid).unwrap_or_default());
        }
        for operation_id in abort_operation_ids {
            self.abort(&operation_id);
        }
        for call in calls {
            self.start(call, arrived);
        }
    }

    fn start(&mut self, call: Call, arrived: Instant) {
        let key = (call.operation_id.clone(), call.webhook_index, call.attempt);
        if self.under_way.contains_key(&key) {
            return;
        }
        let exchanges = self.exchanges.clone();
        let outbox = self.outbox.clone();
        let done = key.clone();
        // The exchange is some KiB, which would be moved into its task several times.
        let handle = self.tasks.spawn(Box::pin(async move {
            let report = exchanges.perform(call, arrived).await;
            outbox.push(Word::Report(Box::new(report)));
            done
        }));
        self.under_way.insert(key, handle);
    }

    fn ended(&mut self, ended: Result<Key, JoinError>) {
        match ended {
            Ok(key) => {
                self.under_way.remove(&key);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, "a call has ended without a report"),
        }
    }

    fn abort(&mut self, operation_id: &str) {
        let first = (operation_id.to_owned(), 0, 0);
        let last = (operation_id.to_owned(), u32::MAX, u32::MAX);
        let calls: Vec<Key> = self
            .under_way
            .range(first..=last)
            .map(|(key, _)| key.clone())
            .collect();
        for key in calls {
            if let Some(handle) = self.under_way.remove(&key) {
                handle.abort();
            }
        }
    }

    fn expire(&mut self) {
        self.valid_until = None;
        if !self.under_way.is_empty() {
            let calls = self.under_way.len();
            tracing::warn!(
                calls,
                "a worker has not renewed its session: giving its calls up"
            );
        }
        self.under_way.clear();
        self.tasks.abort_all();
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
