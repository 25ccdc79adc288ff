//! The external system that webhooks call: it answers at once, late, with a location to poll, not
//! at all, or badly, as the path says.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::http::Connection;
use super::lane::Lane;

/// What a webhook's path asks the system to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// `200 {}` at once.
    AtOnce,
    /// `200 {}` after some milliseconds.
    Late(u64),
    /// `202` with a location, which says that it is not done yet as often as this.
    Polled(u64),
    /// Takes the request and never answers.
    Stalled,
    /// `500`.
    Failing,
}

impl Behaviour {
    /// The path below which the system behaves so.
    pub(super) fn path(self) -> String {
        match self {
            Self::AtOnce => "/now".to_owned(),
            Self::Late(millis) => format!("/late/{millis}"),
            Self::Polled(times) => format!("/polled/{times}"),
            Self::Stalled => "/stalled".to_owned(),
            Self::Failing => "/failing".to_owned(),
        }
    }
}

/// What the system has seen.
#[derive(Default)]
pub(super) struct Log {
    /// Calls of webhooks; polls not counted.
    pub(super) calls: AtomicU64,
    pub(super) polls: AtomicU64,
    /// When which path was called last, for those that are looked out for.
    arrivals: Mutex<Option<HashMap<String, Instant>>>,
    /// How often a location will still say that it is not done.
    left: Mutex<HashMap<u64, u64>>,
}

impl Log {
    /// From now on, when a path is called is kept until it is asked for.
    pub(super) fn look_out(&self) {
        *self.arrivals() = Some(HashMap::new());
    }

    /// When a path that ends with `name` was called.
    pub(super) fn arrival(&self, name: &str) -> Option<Instant> {
        self.arrivals().as_mut()?.remove(name)
    }

    fn arrivals(&self) -> MutexGuard<'_, Option<HashMap<String, Instant>>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, path: &str) -> u64 {
        let now = Instant::now();
        if let Some(arrivals) = self.arrivals().as_mut() {
            let name = path.rsplit('/').next().unwrap_or_default();
            arrivals.insert(name.to_owned(), now);
        }
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a location is done; the first time, it is told how often it will not be.
    fn is_done(&self, location: u64, times: u64) -> bool {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let left_now = left.entry(location).or_insert(times);
        if *left_now == 0 {
            left.remove(&location);
            return true;
        }
        *left_now -= 1;
        false
    }
}

/// The running system, on one or more addresses, on a thread of its own. It ends when it is
/// dropped.
pub(super) struct External {
    addresses: Vec<SocketAddr>,
    /// An address on which nothing listens.
    closed: SocketAddr,
    pub(super) log: Arc<Log>,
    /// Has room for the clients, too: so there is one thread less to be woken.
    pub(super) lane: Lane,
}

impl External {
    pub(super) async fn start(addresses: usize) -> anyhow::Result<Self> {
        let lane = Lane::start("bench-driver")?;
        let log = Arc::new(Log::default());
        let mut bound = Vec::with_capacity(addresses);
        for _ in 0..addresses {
            let listener = lane.run(listen()).await?;
            let address = listener.local_addr().context("a listener has no address")?;
            let authority = address.to_string().into();
            lane.handle().spawn(serve(listener, log.clone(), authority));
            bound.push(address);
        }
        let closed = lane.run(listen()).await?;
        Ok(Self {
            addresses: bound,
            closed: closed.local_addr().context("no address")?,
            log,
            lane,
        })
    }

    /// The base of the URLs below which address `n` behaves so.
    pub(super) fn url(&self, n: usize, behaviour: Behaviour) -> String {
        let address = self.addresses[n % self.addresses.len()];
        format!("http://{address}{}", behaviour.path())
    }

    /// The base of URLs at which nobody answers.
    pub(super) fn refusing(&self) -> String {
        format!("http://{}", self.closed)
    }
}

async fn listen() -> anyhow::Result<TcpListener> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no free port")
}

async fn serve(listener: TcpListener, log: Arc<Log>, authority: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                let (log, authority) = (log.clone(), authority.clone());
                connections.spawn(async move {
                    // A caller who goes away is none of our business.
                    let _ = converse(stream, &log, &authority).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// When an answer leaves.
enum Leave {
    Now,
    After(Duration),
    Never,
}

async fn converse(stream: TcpStream, log: &Log, authority: &str) -> anyhow::Result<()> {
    let mut connection = Connection::new(stream)?;
    let mut answer = Vec::with_capacity(256);
    while let Some(request) = connection.next().await? {
        answer.clear();
        match respond(request.target(), (log, authority), &mut answer) {
            Leave::Now => {}
            Leave::After(pause) => tokio::time::sleep(pause).await,
            Leave::Never => {
                connection.gone().await;
                return Ok(());
            }
        }
        connection.send(&answer).await?;
    }
    Ok(())
}

fn respond(path: &str, (log, authority): (&Log, &str), answer: &mut Vec<u8>) -> Leave {
    let mut parts = path.split('/').skip(1);
    let kind = parts.next().unwrap_or_default();
    let mut number = || parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    if kind == "location" {
        let (times, location) = (number(), number());
        let is_done = log.is_done(location, times);
        let status = if is_done { "DONE" } else { "BUSY" };
        write(answer, "200 OK", &format!(r#"{{"status":"{status}"}}"#));
        return Leave::Now;
    }
    let call = log.called(path);
    match kind {
        "late" => {
            write(answer, "200 OK", "{}");
            return Leave::After(Duration::from_millis(number()));
        }
        "polled" => {
            let location = format!("http://{authority}/location/{}/{call}", number());
            write(
                answer,
                &format!("202 Accepted\r\nlocation: {location}"),
                "{}",
            );
        }
        "stalled" => return Leave::Never,
        "failing" => {
            let status = "500 Internal Server Error";
            write(answer, status, r#"{"error":"failing"}"#);
        }
        _ => answer.extend_from_slice(AT_ONCE),
    }
    Leave::Now
}

const AT_ONCE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 2\r\n\r\n{}";

/// `status` may have headers after it.
fn write(answer: &mut Vec<u8>, status: &str, body: &str) {
    // Writing into memory does not fail.
    let _ = write!(
        answer,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_done_after_so_many_polls() {
        let log = Log::default();
        let mut told = Vec::new();
        respond("/polled/2/x", (&log, "here"), &mut told);
        let told = String::from_utf8(told).unwrap();
        assert!(
            told.contains("location: http://here/location/2/0\r\n"),
            "{told}"
        );
        let states = [(); 3].map(|()| {
            let mut told = Vec::new();
            respond("/location/2/0", (&log, "here"), &mut told);
            String::from_utf8(told).unwrap().contains("DONE")
        });
        assert_eq!(states, [false, false, true]);
    }
}
