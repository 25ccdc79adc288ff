//! The external system that webhooks call: it answers at once, late, with a location to poll, not
//! at all, or badly, as the path says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

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

/// The running system, on one or more addresses. It ends when it is dropped.
pub(super) struct External {
    addresses: Vec<SocketAddr>,
    /// An address on which nothing listens.
    closed: SocketAddr,
    pub(super) log: Arc<Log>,
    _tasks: JoinSet<()>,
}

impl External {
    pub(super) async fn start(addresses: usize) -> anyhow::Result<Self> {
        let log = Arc::new(Log::default());
        let mut tasks = JoinSet::new();
        let mut bound = Vec::with_capacity(addresses);
        for _ in 0..addresses {
            let listener = listen().await?;
            bound.push(listener.local_addr().context("a listener has no address")?);
            tasks.spawn(serve(listener, log.clone()));
        }
        let closed = listen().await?.local_addr().context("no address")?;
        Ok(Self {
            addresses: bound,
            closed,
            log,
            _tasks: tasks,
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

async fn serve(listener: TcpListener, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    let authority = listener.local_addr().map(|address| address.to_string());
    let authority: Arc<str> = authority.unwrap_or_default().into();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                // Without it answers are late, not wrong.
                let _ = stream.set_nodelay(true);
                let (log, authority) = (log.clone(), authority.clone());
                let service = service_fn(move |request| {
                    answer(request, log.clone(), authority.clone())
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    // A caller who goes away is none of our business.
                    let _ = connection.await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Log>,
    authority: Arc<str>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off ends the connection by itself.
    let _ = body.collect().await;
    let path = head.uri.path();
    let mut parts = path.split('/').skip(1);
    let kind = parts.next().unwrap_or_default();
    let mut number = || parts.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    if kind == "location" {
        let (times, location) = (number(), number());
        return Ok(if log.is_done(location, times) {
            json(StatusCode::OK, r#"{"status":"DONE"}"#)
        } else {
            json(StatusCode::OK, r#"{"status":"BUSY"}"#)
        });
    }
    let call = log.called(path);
    Ok(match kind {
        "late" => {
            tokio::time::sleep(Duration::from_millis(number())).await;
            json(StatusCode::OK, "{}")
        }
        "polled" => {
            let location = format!("http://{authority}/location/{}/{call}", number());
            let mut response = json(StatusCode::ACCEPTED, "{}");
            if let Ok(location) = location.parse() {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        "stalled" => std::future::pending().await,
        "failing" => json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"failing"}"#),
        _ => json(StatusCode::OK, "{}"),
    })
}

fn json(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    let json = axum::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
