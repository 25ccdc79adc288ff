//! The accept loop under every door, HTTP and gRPC alike.
//!
//! Our own rather than the libraries', for three reasons: a peer that sends its headers slowly, or
//! nothing at all, is dropped (hyper's timeout needs a timer that nobody installs by default); a
//! peer that vanishes is noticed by keepalive; and stopping cannot hang on a stream that never
//! ends, since every connection is a task of ours that can be dropped.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;

use crate::Shutdown;

/// An HTTP/2 peer is asked this often whether it is there,
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(10);
/// and has this long to answer.
pub(crate) const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 10_000;
const MAX_STREAMS: u32 = 1024;
const MAX_HEADERS: u32 = 64 * 1024;
/// Room for a whole frame of ours before its reader has to say that it may go on.
pub(crate) const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Until its first request has come.
    first_request: Duration,
    /// To send a request's headers over HTTP/1, waiting for the request included.
    headers: Duration,
    /// To finish the requests in progress after the shutdown has been asked for.
    grace: Duration,
}

const PATIENCE: Patience = Patience {
    first_request: Duration::from_secs(15),
    headers: Duration::from_mins(1),
    grace: Duration::from_secs(10),
};

/// Accepts connections until the shutdown, then returns. They speak HTTP/1.1 with upgrades, or
/// HTTP/2 by prior knowledge as gRPC does, and are tasks of `shutdown`, which may finish the
/// requests in progress and are dropped after that.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    accept_all(listener, router, builder(PATIENCE), PATIENCE, shutdown).await;
}

async fn accept_all(
    listener: TcpListener,
    router: Router,
    builder: Builder<TokioExecutor>,
    patience: Patience,
    shutdown: Shutdown,
) {
    let builder = Arc::new(builder);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room) => accepted,
            () = shutdown.cancelled() => return,
        };
        let Some((stream, peer, permit)) = accepted else {
            return;
        };
        let (builder, router) = (builder.clone(), router.clone());
        let stopping = shutdown.clone();
        shutdown.spawn(async move {
            run(&builder, (stream, peer), router, patience, stopping).await;
            drop(permit);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Some((stream, peer, permit)),
            Err(error) => {
                // Out of file descriptors, or a peer that left: the listener itself is fine.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn builder(patience: Patience) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS);
    builder
}

async fn run(
    builder: &Builder<TokioExecutor>,
    (stream, peer): (TcpStream, SocketAddr),
    router: Router,
    patience: Patience,
    shutdown: Shutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection is gone already");
        return;
    }
    let local = stream.local_addr().ok();
    let spoken = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let spoken = spoken.clone();
        move |mut request: Request<Incoming>| {
            spoken.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(TcpConnectInfo {
                local_addr: local,
                remote_addr: Some(peer),
            });
            let mut router = router.clone();
            async move { Ok::<_, Infallible>(answer(&mut router, request).await) }
        }
    });
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = silence(&spoken, patience.first_request) => None,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(patience.grace, connection.as_mut()).await.ok()
        }
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%peer, error, "a connection broke"),
        None => tracing::debug!(%peer, "a connection was dropped"),
    }
}

async fn answer(router: &mut Router, request: Request<Incoming>) -> axum::response::Response {
    match Service::call(router, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Completes when a connection has not spoken in time.
async fn silence(spoken: &AtomicBool, limit: Duration) {
    tokio::time::sleep(limit).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const SHORT: Patience = Patience {
        first_request: Duration::from_millis(100),
        headers: Duration::from_millis(100),
        grace: Duration::from_millis(100),
    };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn connect(patience: Patience, router: Router) -> (TcpStream, Shutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let builder = builder(patience);
        shutdown.spawn(accept_all(
            listener,
            router,
            builder,
            patience,
            shutdown.clone(),
        ));
        (TcpStream::connect(address).await.unwrap(), shutdown)
    }

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        // A connection that is reset ends as well as one that is closed.
        let _ = tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("it stays open");
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn who_says_nothing_is_dropped() {
        let (mut stream, _shutdown) = connect(SHORT, Router::new()).await;
        assert_eq!(read_to_end(&mut stream).await, "");
    }

    #[tokio::test]
    async fn who_sends_headers_slowly_is_dropped() {
        let long = Patience {
            first_request: Duration::from_mins(1),
            ..SHORT
        };
        let (mut stream, _shutdown) = connect(long, Router::new()).await;
        stream.write_all(&REQUEST[..20]).await.unwrap();
        assert!(!read_to_end(&mut stream).await.contains("200 OK"));
    }

    #[tokio::test]
    async fn a_request_in_progress_is_answered_during_a_shutdown() {
        let (seen, mut was_seen) = tokio::sync::mpsc::channel(1);
        let release = Arc::new(Semaphore::new(0));
        let gate = release.clone();
        let router = Router::new().route(
            "/",
            get(async move || {
                seen.send(()).await.unwrap();
                gate.acquire().await.unwrap().forget();
                "done"
            }),
        );
        let (mut stream, shutdown) = connect(PATIENCE, router).await;
        stream.write_all(REQUEST).await.unwrap();
        was_seen.recv().await.unwrap();
        shutdown.trigger();
        release.add_permits(1);
        assert!(read_to_end(&mut stream).await.ends_with("done"));
        assert!(shutdown.drain(Duration::from_secs(10)).await);
    }

    #[tokio::test]
    async fn a_request_that_never_ends_does_not_hold_up_a_shutdown() {
        let router = Router::new().route("/", get(std::future::pending::<()>));
        let (mut stream, shutdown) = connect(SHORT, router).await;
        stream.write_all(REQUEST).await.unwrap();
        assert!(shutdown.drain(Duration::from_secs(10)).await);
    }
}
