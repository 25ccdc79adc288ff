//! Clients: as many at once as told (closed loop), or at a fixed rate (open loop).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::external::Log;
use super::http::Connection;
use super::lane::Lane;
use super::request::{self, Kind, Requests};
use super::tracker::{Accepted, Tracker, histogram};

/// How long a client waits after a refusal.
const BREATHER: Duration = Duration::from_millis(10);
/// So many refusals end a run that answers nothing else.
const TOO_MANY: u64 = 200;

/// How clients ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// Each client starts its next request when the previous one has come to its end.
    Closed,
    /// Each client starts its next request when the previous one is answered, unless so many
    /// operations are on their way.
    Backlog(usize),
    /// So many per second, whatever becomes of them; clocks start when one was to be sent.
    Open(f64),
}

/// What the clients of a run share.
pub(super) struct Shared {
    pub(super) requests: Requests,
    pub(super) tracker: Arc<Tracker>,
    pub(super) refused: AtomicU64,
    first_refusal: Mutex<Option<String>>,
    /// The class of an application, by its number.
    classify: fn(u64) -> usize,
    /// When this is there, so is how long it takes until the external system is called.
    log: Option<Arc<Log>>,
    receipts: Mutex<Histogram<u64>>,
}

impl Shared {
    pub(super) fn new(
        requests: Requests,
        tracker: Arc<Tracker>,
        classify: fn(u64) -> usize,
    ) -> Self {
        Self {
            requests,
            tracker,
            refused: AtomicU64::new(0),
            first_refusal: Mutex::default(),
            classify,
            log: None,
            receipts: Mutex::new(histogram()),
        }
    }

    /// Also measures how long it takes until the external system is called.
    pub(super) fn looking_out(mut self, log: Arc<Log>) -> Self {
        log.look_out();
        self.log = Some(log);
        self
    }

    pub(super) fn receipts(&self) -> Histogram<u64> {
        self.receipts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn first_refusal(&self) -> Option<String> {
        let first = self.first_refusal.lock();
        first.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A refusal counts; one that is all there is ends the run.
    fn refuse(&self, refusal: &anyhow::Error) -> anyhow::Result<()> {
        let count = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
        let mut first = self
            .first_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let first = first.get_or_insert_with(|| refusal.to_string());
        if count > TOO_MANY && count > self.tracker.total() {
            bail!("the gateway refuses more than it accepts; the first answer was {first}");
        }
        Ok(())
    }

    fn received(&self, since: Instant, application: Uuid) {
        let called = self
            .log
            .as_ref()
            .and_then(|log| log.arrival(&application.to_string()));
        if let Some(at) = called {
            let micros = at.saturating_duration_since(since).as_micros();
            let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner);
            receipts.saturating_record(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }
}

struct Client {
    connection: Connection,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    /// Told when the operation that is waited for has ended.
    ended: Arc<Notify>,
}

/// Starts the clients on `lane`; they end by themselves at `end`.
pub(super) async fn start(
    (lane, gateways): (&Lane, &[SocketAddr]),
    shared: &Arc<Shared>,
    (clients, shape): (usize, Shape),
    end: Instant,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut tasks = JoinSet::new();
    let due = match shape {
        Shape::Open(rate) => Some(Arc::new(tokio::sync::Mutex::new(pace(rate, end)?))),
        Shape::Closed | Shape::Backlog(_) => None,
    };
    for number in 0..clients {
        let gateway = gateways.get(number % gateways.len().max(1));
        let gateway = *gateway.context("there is no gateway")?;
        let client = Client {
            connection: lane.run(Connection::open(gateway)).await?,
            shared: shared.clone(),
            buffer: Vec::with_capacity(1024),
            ended: Arc::default(),
        };
        let on = lane.handle();
        match (shape, &due) {
            (Shape::Closed, _) => tasks.spawn_on(client.closed(end), on),
            (Shape::Backlog(limit), _) => tasks.spawn_on(client.pressing(end, limit), on),
            (Shape::Open(_), Some(due)) => tasks.spawn_on(client.open(due.clone()), on),
            (Shape::Open(_), None) => continue,
        };
    }
    Ok(tasks)
}

type Due = Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Instant>>>;

/// Tells when the next request is due. The runtime's timer has a step of a millisecond, so this
/// is a thread.
fn pace(rate: f64, end: Instant) -> anyhow::Result<mpsc::UnboundedReceiver<Instant>> {
    let (sender, due) = mpsc::unbounded_channel();
    let step = Duration::from_secs_f64(1.0 / rate);
    let work = move || {
        let mut next = Instant::now();
        while next < end {
            if let Some(pause) = next.checked_duration_since(Instant::now()) {
                std::thread::sleep(pause);
            }
            if sender.send(next).is_err() {
                return;
            }
            next += step;
        }
    };
    let name = "bench-pace".to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(work);
    thread.context("cannot start a thread")?;
    Ok(due)
}

impl Client {
    async fn closed(mut self, end: Instant) -> anyhow::Result<()> {
        while Instant::now() < end {
            self.step(Instant::now(), true).await?;
        }
        Ok(())
    }

    async fn pressing(mut self, end: Instant, limit: usize) -> anyhow::Result<()> {
        while Instant::now() < end {
            if self.shared.tracker.in_progress() >= limit {
                tokio::time::sleep(BREATHER).await;
            } else {
                self.step(Instant::now(), false).await?;
            }
        }
        Ok(())
    }

    async fn open(mut self, due: Due) -> anyhow::Result<()> {
        loop {
            let next = due.lock().await.recv().await;
            match next {
                Some(since) => self.step(since, false).await?,
                None => return Ok(()),
            }
        }
    }

    /// One request that was to be sent at `since`; with `wait`, until its operation has ended.
    async fn step(&mut self, since: Instant, wait: bool) -> anyhow::Result<()> {
        let Some((number, application)) = self.shared.requests.fill(&mut self.buffer) else {
            bail!("all applications are removed; seed more with --applications, or run shorter");
        };
        let class = (self.shared.classify)(number);
        let kind = self.shared.requests.kind;
        let answer = self.connection.exchange(&self.buffer).await?;
        if !kind.is_operation() {
            let checked = match kind {
                Kind::Pair => request::object(answer.body).map(Some),
                _ => request::check(answer.body).map(|()| None),
            };
            return match checked {
                Ok(second) => self.rest(since, class, second).await,
                Err(refusal) => self.refused(&refusal).await,
            };
        }
        let id = match request::operation(answer.body) {
            Ok(id) => id,
            Err(refusal) => {
                let status = answer.status();
                return self
                    .refused(&refusal.context(format!("HTTP {status}")))
                    .await;
            }
        };
        self.shared.tracker.answered(since, class);
        let accepted = Accepted { id, since, class };
        if !wait {
            self.shared.tracker.expect(&accepted, None);
            return Ok(());
        }
        let ended = self.ended.clone();
        self.shared.tracker.expect(&accepted, Some(ended));
        self.ended.notified().await;
        self.shared.received(since, application);
        Ok(())
    }

    /// The rest of what is no operation: for a pair, the removal of what was made.
    async fn rest(
        &mut self,
        since: Instant,
        class: usize,
        made: Option<Uuid>,
    ) -> anyhow::Result<()> {
        if let Some(made) = made {
            self.shared.requests.fill_second(made, &mut self.buffer);
            let answer = self.connection.exchange(&self.buffer).await?;
            if let Err(refusal) = request::check(answer.body) {
                return self.refused(&refusal).await;
            }
        }
        self.shared.tracker.answered(since, class);
        Ok(())
    }

    async fn refused(&self, refusal: &anyhow::Error) -> anyhow::Result<()> {
        self.shared.refuse(refusal)?;
        tokio::time::sleep(BREATHER).await;
        Ok(())
    }
}
