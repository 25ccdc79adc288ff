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

/// How long a new connection may take until its first request has come.
const FIRST_REQUEST: Duration = Duration::from_secs(15);
/// How long an HTTP/1 connection may take to send a request's headers, waiting for it included.
const HEADERS: Duration = Duration::from_secs(60);
/// An HTTP/2 peer is asked this often whether it is there,
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(10);
/// and has this long to answer.
pub(crate) const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
/// How long requests in progress may go on after the shutdown has been asked for.
const GRACE: Duration = Duration::from_secs(10);
const MAX_CONNECTIONS: usize = 10_000;
const MAX_STREAMS: u32 = 1024;
const MAX_HEADERS: u32 = 64 * 1024;
/// Room for a whole frame of ours before its reader has to say that it may go on.
pub(crate) const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
pub(crate) const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// What a door speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// HTTP/1.1 with upgrades, or HTTP/2 by prior knowledge.
    Http,
    /// HTTP/2 only.
    Grpc,
}

/// Accepts connections until the shutdown, then returns; connections are tasks of `shutdown`,
/// which may finish the requests in progress and are dropped after that.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    protocol: Protocol,
    shutdown: Shutdown,
) {
    let builder = Arc::new(builder(protocol));
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
            run(&builder, stream, peer, router, stopping).await;
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

fn builder(protocol: Protocol) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS);
    match protocol {
        Protocol::Http => builder,
        Protocol::Grpc => builder.http2_only(),
    }
}

async fn run(
    builder: &Builder<TokioExecutor>,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
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
        () = silence(&spoken) => None,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(GRACE, connection.as_mut()).await.ok()
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
async fn silence(spoken: &AtomicBool) {
    tokio::time::sleep(FIRST_REQUEST).await;
    if spoken.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}
