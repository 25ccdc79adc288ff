//! The ends of streams: to every scheduler and to every executor one, opened again when it breaks.
//!
//! A link carries frames and decides nothing. What comes in goes to the worker as an [`Event`],
//! in order; what goes out waits in the [`Outbox`](binnacle_boot::Outbox) that the link hands
//! over when it is up. Each opening has an id of its own, so that the worker never takes a word of
//! an earlier one for one of the present.

pub(crate) mod executor;
pub(crate) mod scheduler;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use binnacle_boot::Shutdown;
use binnacle_boot::grpc::{self, Channel, InProcess, Peers};
use binnacle_domain::operation::OperationId;
use binnacle_proto::director::v1::FinalizationResult;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Frames leave with at most this many items.
const MAX_ITEMS: usize = 256;
/// Grants and calls carry whole webhooks with their templates.
const MAX_FRAME_BYTES: usize = 64 << 20;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long a link waits for its peer to end the stream after the last word.
const FAREWELL: Duration = Duration::from_secs(2);

/// One opening of a stream.
pub(crate) type LinkId = u64;

/// What the worker is told.
pub(crate) enum Event {
    /// About a scheduler.
    Scheduler(LinkId, scheduler::Event),
    /// About an executor.
    Executor(LinkId, executor::Event),
    /// A link asks what the worker holds, before it opens its stream.
    WhatIsHeld(oneshot::Sender<Vec<String>>),
    /// What the registry answered about these operations; none: it did not.
    Finalized(Vec<(OperationId, Option<FinalizationResult>)>),
}

/// What every link is given.
#[derive(Clone)]
pub(crate) struct End {
    events: mpsc::Sender<Event>,
    ids: Arc<AtomicU64>,
    /// The peer is no longer among the addresses.
    removed: CancellationToken,
    in_process: InProcess,
    shutdown: Shutdown,
}

impl End {
    fn channel(&self, address: SocketAddr) -> Channel {
        grpc::channel(address, &self.in_process)
    }

    fn next_id(&self) -> LinkId {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether the worker is still there to hear it.
    async fn tell(&self, event: Event) -> bool {
        self.events.send(event).await.is_ok()
    }

    fn is_over(&self) -> bool {
        self.removed.is_cancelled() || self.shutdown.is_cancelled()
    }

    /// Opens a stream with `open` again and again. It says whether it was up before it broke.
    async fn again<F: Future<Output = bool>>(self, mut open: impl FnMut(Self) -> F) {
        let mut pause = FIRST_PAUSE;
        while !self.is_over() {
            if open(self.clone()).await {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = self.removed.cancelled() => {}
                () = self.shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Keeps links at the addresses that there are.
pub(crate) struct Links {
    end: End,
}

impl Links {
    pub(crate) fn new(
        events: mpsc::Sender<Event>,
        in_process: InProcess,
        shutdown: Shutdown,
    ) -> Self {
        let end = End {
            events,
            ids: Arc::default(),
            removed: CancellationToken::new(),
            in_process,
            shutdown,
        };
        Self { end }
    }

    /// Runs `keep` for every address of `peers`, for as long as it is one.
    pub(crate) fn follow<F>(
        &self,
        peers: &Peers,
        keep: impl Fn(SocketAddr, End) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let shutdown = &self.end.shutdown;
        let addresses = peers.watch(shutdown);
        shutdown.spawn(follow(addresses, self.end.clone(), keep));
    }
}

async fn follow<F>(
    mut addresses: watch::Receiver<BTreeSet<SocketAddr>>,
    end: End,
    keep: impl Fn(SocketAddr, End) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut kept: BTreeMap<SocketAddr, CancellationToken> = BTreeMap::new();
    loop {
        let current = addresses.borrow_and_update().clone();
        kept.retain(|address, removed| {
            let stays = current.contains(address);
            if !stays {
                removed.cancel();
            }
            stays
        });
        for address in current {
            kept.entry(address).or_insert_with(|| {
                let removed = end.removed.child_token();
                let end = End {
                    removed: removed.clone(),
                    ..end.clone()
                };
                end.shutdown.clone().spawn(keep(address, end));
                removed
            });
        }
        if addresses.changed().await.is_err() {
            return;
        }
    }
}
