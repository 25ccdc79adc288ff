//! Which of a role's replicas a call goes to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status, transport};
use tower::ServiceExt as _;

/// For so long a replica is the last choice after it has failed a call. That is several times as long as calls wait for
/// a frozen one: who waits for one of each role in turn must not come back to the first before the last is known.
const AVOIDED: Duration = Duration::from_secs(30);
/// Whoever gives a call up sooner need not have lost patience.
const PATIENCE: Duration = Duration::from_secs(1);

/// The replicas there are, by their addresses.
pub(super) type Replicas = BTreeMap<SocketAddr, Arc<Replica>>;

/// Spreads calls over replicas.
///
/// A call goes to the one with the fewest calls under way, in turn where there are several. So one that takes calls and
/// does not answer gets few of them, and one that fails them at once no more than one in a while.
#[derive(Clone)]
pub(super) struct Balanced {
    replicas: watch::Receiver<Replicas>,
    turn: Arc<AtomicUsize>,
}

pub(super) struct Replica {
    channel: transport::Channel,
    under_way: AtomicUsize,
    failed_at: Mutex<Option<Instant>>,
}

impl Balanced {
    pub(super) fn new(replicas: watch::Receiver<Replicas>) -> Self {
        Self {
            replicas,
            turn: Arc::default(),
        }
    }

    /// Waits while there are no replicas.
    pub(super) async fn call(
        mut self,
        request: Request<Body>,
    ) -> Result<Response<Body>, transport::Error> {
        let replica = match self.replicas.wait_for(|known| !known.is_empty()).await {
            Ok(known) => pick(&known, self.turn.fetch_add(1, Ordering::Relaxed)),
            Err(_) => None,
        };
        let Some(replica) = replica else {
            return Ok(Status::unavailable("this process stops").into_http());
        };
        let call = Call::start(replica);
        let answer = call.replica.channel.clone().oneshot(request).await;
        call.end(answer.as_ref().map_or(true, is_refusal));
        answer
    }
}

fn pick(replicas: &Replicas, turn: usize) -> Option<Arc<Replica>> {
    let now = Instant::now();
    let first = turn.checked_rem(replicas.len())?;
    let in_turn = replicas.values().cycle().skip(first).take(replicas.len());
    let preference = |replica: &&Arc<Replica>| {
        let under_way = replica.under_way.load(Ordering::Relaxed);
        (replica.is_avoided(now), under_way)
    };
    in_turn.min_by_key(preference).cloned()
}

/// Whether the replica says that it cannot take the call.
fn is_refusal(answer: &Response<Body>) -> bool {
    Status::from_header_map(answer.headers())
        .is_some_and(|status| status.code() == Code::Unavailable)
}

impl Replica {
    pub(super) fn new(channel: transport::Channel) -> Self {
        Self {
            channel,
            under_way: AtomicUsize::new(0),
            failed_at: Mutex::new(None),
        }
    }

    fn is_avoided(&self, now: Instant) -> bool {
        let failed_at = *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failed_at.is_some_and(|at| now < at + AVOIDED)
    }

    fn ended(&self, failed_at: Option<Instant>) {
        *self
            .failed_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failed_at;
    }
}

/// A call under way. One that is dropped was given up.
struct Call {
    replica: Arc<Replica>,
    since: Instant,
    has_ended: bool,
}

impl Call {
    fn start(replica: Arc<Replica>) -> Self {
        replica.under_way.fetch_add(1, Ordering::Relaxed);
        Self {
            replica,
            since: Instant::now(),
            has_ended: false,
        }
    }

    fn end(mut self, has_failed: bool) {
        self.has_ended = true;
        self.replica.ended(has_failed.then(Instant::now));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.replica.under_way.fetch_sub(1, Ordering::Relaxed);
        if !self.has_ended && self.since.elapsed() >= PATIENCE {
            self.replica.ended(Some(Instant::now()));
        }
    }
}
