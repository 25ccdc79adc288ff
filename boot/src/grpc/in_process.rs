//! Calls between the roles of one process: the same services, messages and layers as over the
//! network, without its sockets and bytes.

mod codec;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use axum::Router;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::SetOnce;
use tonic::Status;
use tonic::body::Body;
use tonic::transport;
use tower::Service;

pub use self::codec::Codec;
use self::codec::Handover;
use super::balanced::Balanced;
use crate::Shutdown;

/// The gRPC doors that roles of one process serve for one another, by the addresses they are bound
/// to. All contexts of a process share it. Others reach the same doors over the network.
#[derive(Clone, Default)]
pub struct InProcess(BTreeMap<SocketAddr, Door>);

/// Set when the door is opened.
type Door = Arc<SetOnce<Server>>;

/// What is behind a door, for as long as it is served: the doors outlive their roles.
struct Server {
    router: Weak<Router>,
    shutdown: Shutdown,
}

/// A way to one role: to a replica, to all of its replicas, or to the role in this process.
#[derive(Clone)]
pub struct Channel(Way);

#[derive(Clone)]
enum Way {
    Network(transport::Channel),
    Balanced(Balanced),
    InProcess(Door),
}

impl InProcess {
    /// The doors that are going to be served at these addresses.
    pub fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        let doors = addresses.into_iter();
        Self(doors.map(|address| (address, Door::default())).collect())
    }

    /// The way to the door at `address`, if it is one of this process. Calls wait until it is served.
    pub(super) fn channel(&self, address: SocketAddr) -> Option<Channel> {
        let door = self.0.get(&address)?;
        Some(Channel(Way::InProcess(door.clone())))
    }

    /// Opens the door at `address` if it is one of this process, until `shutdown` or until `router` is dropped.
    pub(super) fn serve(&self, address: SocketAddr, router: &Arc<Router>, shutdown: &Shutdown) {
        if let Some(door) = self.0.get(&address) {
            let router = Arc::downgrade(router);
            let shutdown = shutdown.clone();
            // It is bound to one listener, so nobody else can have opened it.
            let _ = door.set(Server { router, shutdown });
        }
    }
}

/// Answers `request` once the door is open.
async fn call(door: Door, request: Request<Body>) -> Response<Body> {
    let Server { router, shutdown } = door.wait().await;
    let router = router.upgrade().filter(|_| !shutdown.is_cancelled());
    let Some(router) = router else {
        return Status::unavailable("the role stops").into_http();
    };
    let mut router = Arc::unwrap_or_clone(router);
    let request = request.map(Handover::of);
    // A connection would keep a panic from the caller, too.
    let answer = AssertUnwindSafe(async { router.call(request).await }).catch_unwind();
    match answer.await {
        Ok(Ok(response)) => response.map(|body| Handover::of(Body::new(body))),
        Ok(Err(never)) => match never {},
        Err(_) => Status::internal("the role failed inside").into_http(),
    }
}

impl From<transport::Channel> for Channel {
    fn from(channel: transport::Channel) -> Self {
        Self(Way::Network(channel))
    }
}

impl From<Balanced> for Channel {
    fn from(balanced: Balanced) -> Self {
        Self(Way::Balanced(balanced))
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, transport::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), transport::Error>> {
        match &mut self.0 {
            Way::Network(channel) => channel.poll_ready(context),
            Way::Balanced(_) | Way::InProcess(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match &mut self.0 {
            Way::Network(channel) => channel.call(request).boxed(),
            Way::Balanced(balanced) => balanced.clone().call(request).boxed(),
            Way::InProcess(door) => call(door.clone(), request).map(Ok).boxed(),
        }
    }
}
