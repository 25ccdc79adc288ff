//! Which operations are on their way, and when they end: the scheduler's watch streams tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::sync::Notify;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use uuid::Uuid;

/// Ends that are remembered for whoever asks a moment later.
const REMEMBERED: usize = 100_000;
const WATCH: &str = "/binnacle.scheduler.v1.SchedulerService/WatchOperations";
/// A frame may hold many operations.
const MAX_FRAME: usize = 64 * 1024 * 1024;

/// As much of the scheduler's messages as is needed here; the rest is skipped unread.
mod wire {
    use axum::body::Bytes;

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Changes {
        #[prost(message, repeated, tag = "1")]
        pub(super) operations: Vec<Operation>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Operation {
        #[prost(message, optional, tag = "1")]
        pub(super) spec: Option<Spec>,
        #[prost(message, optional, tag = "2")]
        pub(super) status: Option<Status>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Spec {
        /// A string, taken as bytes so that it need not be copied.
        #[prost(bytes = "bytes", tag = "1")]
        pub(super) operation_id: Bytes,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(enumeration = "binnacle_proto::common::v1::Phase", tag = "1")]
        pub(super) phase: i32,
    }
}

/// Microseconds up to two minutes, to one percent.
pub(super) fn histogram() -> Histogram<u64> {
    const LONGEST: u64 = 120_000_000;
    Histogram::new_with_bounds(1, LONGEST, 2)
        .unwrap_or_else(|_| unreachable!("the bounds and digits are allowed"))
}

/// What happened in a measured window, by class of operation.
pub(super) struct Seen {
    pub(super) accepts: Vec<Histogram<u64>>,
    pub(super) ends: Vec<Histogram<u64>>,
    /// Operations that ended in the window, by class.
    pub(super) completed: Vec<u64>,
    pub(super) accepted: Vec<u64>,
    pub(super) failed: u64,
}

/// When something counts.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Window {
    fn contains(self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }
}

struct Waiting {
    since: Instant,
    class: usize,
    notify: Option<Arc<Notify>>,
}

/// Follows the operations of a run.
pub(super) struct Tracker {
    window: Window,
    state: Mutex<State>,
}

struct State {
    waiting: HashMap<Uuid, Waiting>,
    early: HashMap<Uuid, (Instant, bool)>,
    earlier: HashMap<Uuid, (Instant, bool)>,
    seen: Seen,
    total: u64,
}

/// An operation that has just been accepted.
pub(super) struct Accepted {
    pub(super) id: Uuid,
    /// When the request was to be sent.
    pub(super) since: Instant,
    pub(super) class: usize,
}

impl Tracker {
    pub(super) fn new(window: Window, classes: usize) -> Self {
        let histograms = || (0..classes).map(|_| histogram()).collect();
        Self {
            window,
            state: Mutex::new(State {
                waiting: HashMap::new(),
                early: HashMap::new(),
                earlier: HashMap::new(),
                seen: Seen {
                    accepts: histograms(),
                    ends: histograms(),
                    completed: vec![0; classes],
                    accepted: vec![0; classes],
                    failed: 0,
                },
                total: 0,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request was answered.
    pub(super) fn answered(&self, since: Instant, class: usize) {
        let now = Instant::now();
        let mut state = self.state();
        if self.window.contains(since) {
            record(&mut state.seen.accepts, class, since, now);
        }
        if self.window.contains(now) {
            count(&mut state.seen.accepted, class);
        }
    }

    /// Tells whoever waits when the operation has ended; the operation counts either way.
    pub(super) fn expect(&self, accepted: &Accepted, notify: Option<Arc<Notify>>) {
        let Accepted { id, since, class } = *accepted;
        let mut state = self.state();
        let early = state.early.remove(&id);
        let waiting = Waiting {
            since,
            class,
            notify,
        };
        match early.or_else(|| state.earlier.remove(&id)) {
            Some((at, succeeded)) => state.end(waiting, at, succeeded, self.window),
            None => drop(state.waiting.insert(id, waiting)),
        }
    }

    fn ended(&self, changes: wire::Changes) {
        use binnacle_proto::common::v1::Phase;

        let now = Instant::now();
        let mut state = self.state();
        for operation in changes.operations {
            let phase = operation.status.unwrap_or_default().phase();
            let succeeded = match phase {
                Phase::Succeeded => true,
                Phase::Failed => false,
                Phase::Unspecified | Phase::InProgress | Phase::Finalizing => continue,
            };
            let id = operation.spec.unwrap_or_default().operation_id;
            let Ok(id) = Uuid::try_parse_ascii(&id) else {
                continue;
            };
            match state.waiting.remove(&id) {
                Some(waiting) => state.end(waiting, now, succeeded, self.window),
                None => state.remember(id, now, succeeded),
            }
        }
    }

    /// How many operations are on their way.
    pub(super) fn in_progress(&self) -> usize {
        self.state().waiting.len()
    }

    /// An operation that somebody has been waiting for since longer than `patience` ago.
    pub(super) fn overdue(&self, patience: Duration) -> Option<Uuid> {
        let now = Instant::now();
        let is_overdue = |waiting: &Waiting| {
            let waited = now.saturating_duration_since(waiting.since);
            waiting.notify.is_some() && waited > patience
        };
        let state = self.state();
        let mut waiting = state.waiting.iter();
        waiting.find_map(|(id, waiting)| is_overdue(waiting).then_some(*id))
    }

    /// How many have ended, in the window or not.
    pub(super) fn total(&self) -> u64 {
        self.state().total
    }

    /// What was seen in the window; the tracker is as new afterwards, but for what is on its way.
    pub(super) fn take(&self) -> Seen {
        let mut state = self.state();
        let classes = state.seen.completed.len();
        let histograms = || (0..classes).map(|_| histogram()).collect();
        let new = Seen {
            accepts: histograms(),
            ends: histograms(),
            completed: vec![0; classes],
            accepted: vec![0; classes],
            failed: 0,
        };
        std::mem::replace(&mut state.seen, new)
    }
}

impl State {
    fn end(&mut self, waiting: Waiting, at: Instant, succeeded: bool, window: Window) {
        let Waiting {
            since,
            class,
            notify,
        } = waiting;
        self.total += 1;
        if window.contains(since) {
            record(&mut self.seen.ends, class, since, at);
        }
        if window.contains(at) {
            count(&mut self.seen.completed, class);
        }
        if !succeeded {
            self.seen.failed += 1;
        }
        if let Some(notify) = notify {
            notify.notify_one();
        }
    }

    /// With several streams an end is told several times, so what nobody asks for is forgotten.
    fn remember(&mut self, id: Uuid, at: Instant, succeeded: bool) {
        if self.early.len() >= REMEMBERED {
            self.earlier = std::mem::take(&mut self.early);
        }
        self.early.insert(id, (at, succeeded));
    }
}

fn record(histograms: &mut [Histogram<u64>], class: usize, since: Instant, at: Instant) {
    let micros = at.saturating_duration_since(since).as_micros();
    if let Some(histogram) = histograms.get_mut(class) {
        histogram.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
    }
}

fn count(counts: &mut [u64], class: usize) {
    if let Some(count) = counts.get_mut(class) {
        *count += 1;
    }
}

/// Opens a watch stream to a scheduler; polls of the future that it gives tell `tracker`.
pub(super) async fn watch(
    scheduler: std::net::SocketAddr,
    tracker: Arc<Tracker>,
) -> anyhow::Result<impl Future<Output = anyhow::Result<()>> + Send + 'static> {
    let channel = Endpoint::from_shared(format!("http://{scheduler}"))
        .context("not an address")?
        .tcp_nodelay(true)
        .connect()
        .await
        .context("the scheduler does not answer")?;
    let mut grpc = tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_FRAME);
    grpc.ready()
        .await
        .context("the scheduler does not answer")?;
    let codec = tonic_prost::ProstCodec::<
        binnacle_proto::scheduler::v1::WatchOperationsRequest,
        wire::Changes,
    >::default();
    let request = tonic::Request::new(binnacle_proto::scheduler::v1::WatchOperationsRequest {
        operation_id: String::new(),
        view: binnacle_proto::scheduler::v1::OperationView::Basic.into(),
    });
    let path = PathAndQuery::from_static(WATCH);
    let answer = grpc.server_streaming(request, path, codec).await;
    let mut stream = answer
        .context("the scheduler refused to be watched")?
        .into_inner();
    Ok(async move {
        loop {
            match stream.message().await.context("the watch stream broke")? {
                Some(changes) => tracker.ended(changes),
                None => anyhow::bail!("the scheduler ended the watch stream"),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn change(id: Uuid, phase: i32) -> wire::Changes {
        wire::Changes {
            operations: vec![wire::Operation {
                spec: Some(wire::Spec {
                    operation_id: id.to_string().into(),
                }),
                status: Some(wire::Status { phase }),
            }],
        }
    }

    fn tracker() -> (Tracker, Instant) {
        let from = Instant::now();
        let to = from + Duration::from_mins(1);
        (Tracker::new(Window { from, to }, 1), from)
    }

    #[test]
    fn an_end_counts_whether_it_comes_before_or_after_the_answer() {
        let (tracker, since) = tracker();
        let (early, late) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let accepted = |id| Accepted {
            id,
            since,
            class: 0,
        };
        tracker.ended(change(early, 3));
        tracker.expect(&accepted(early), None);
        tracker.expect(&accepted(late), None);
        tracker.ended(change(late, 1));
        assert_eq!(tracker.in_progress(), 1);
        tracker.ended(change(late, 4));
        let seen = tracker.take();
        assert_eq!((seen.completed, seen.failed), (vec![2], 1));
        assert_eq!(tracker.total(), 2);
    }
}
