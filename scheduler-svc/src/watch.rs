//! Operations as they change.

use std::{collections::BTreeSet, pin::Pin, time::Duration};

use binnacle_boot::Shutdown;
use binnacle_domain::operation::{Operation, OperationId, Phase};
use binnacle_proto::{
    scheduler::v1,
    status::{Reason, refuse},
};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    service::{missing, unavailable},
    store::{Store, Watch},
};

/// How often to look for what nobody told.
const LOOK: Duration = Duration::from_millis(500);
/// Frames that a slow watcher may be behind.
const BEHIND: usize = 16;

type Frame = Result<v1::WatchOperationsResponse, Status>;
pub(crate) type Frames = Pin<Box<dyn Stream<Item = Frame> + Send>>;

/// One operation: as it is, then after each change, until it has ended.
pub(crate) async fn one(
    store: Store,
    id: OperationId,
    shutdown: &Shutdown,
) -> Result<Frames, Status> {
    let changes = store.watch();
    let current = store.get(id).await.map_err(unavailable)?;
    let current = current.ok_or_else(|| missing(id))?;
    let (frames, received) = mpsc::channel(BEHIND);
    let stopping = shutdown.clone();
    shutdown.spawn(async move {
        let watching = follow(&store, current, changes, &frames);
        tokio::select! {
            () = stopping.cancelled() => {}
            () = frames.closed() => {}
            ended = watching => if let Err(status) = ended {
                // Who no longer listens does not miss it.
                let _ = frames.send(Err(status)).await;
            }
        }
    });
    Ok(Box::pin(ReceiverStream::new(received)))
}

async fn follow(
    store: &Store,
    current: Operation,
    mut changes: Watch,
    frames: &mpsc::Sender<Frame>,
) -> Result<(), Status> {
    let id = current.spec.id;
    let mut current = current;
    loop {
        let (version, is_done) = (current.version, matches!(current.phase, Phase::Done(_)));
        if frames.send(Ok(frame(vec![current]))).await.is_err() || is_done {
            return Ok(());
        }
        current = loop {
            changed(&mut changes, id).await;
            let next = store.get(id).await.map_err(unavailable)?;
            match next {
                Some(next) if next.version != version => break next,
                Some(_) => {}
                None => return Err(missing(id)),
            }
        };
    }
}

/// Completes when the operation may have changed.
async fn changed(changes: &mut Watch, id: OperationId) {
    let told = async { while changes.next().await.is_some_and(|ids| !ids.contains(&id)) {} };
    // What was not told is found by looking.
    let _ = tokio::time::timeout(LOOK, told).await;
}

/// Every change from now on.
pub(crate) fn all(store: Store, shutdown: &Shutdown) -> Frames {
    let changes = store.watch();
    let (frames, received) = mpsc::channel(BEHIND);
    let stopping = shutdown.clone();
    shutdown.spawn(async move {
        let watching = follow_all(&store, changes, &frames);
        tokio::select! {
            () = stopping.cancelled() => {}
            () = frames.closed() => {}
            ended = watching => if let Err(status) = ended {
                // Who no longer listens does not miss it.
                let _ = frames.send(Err(status)).await;
            }
        }
    });
    Box::pin(ReceiverStream::new(received))
}

async fn follow_all(
    store: &Store,
    mut changes: Watch,
    frames: &mpsc::Sender<Frame>,
) -> Result<(), Status> {
    loop {
        let first = changes.next().await.ok_or_else(behind)?;
        let mut ids: BTreeSet<OperationId> = first.iter().copied().collect();
        while ids.len() < 256
            && let Some(more) = changes.try_next()
        {
            ids.extend(more.iter().copied());
        }
        let operations = store.get_all(ids).await.map_err(unavailable)?;
        if !operations.is_empty() && frames.send(Ok(frame(operations))).await.is_err() {
            return Ok(());
        }
    }
}

fn frame(operations: Vec<Operation>) -> v1::WatchOperationsResponse {
    v1::WatchOperationsResponse {
        operations: operations.into_iter().map(Into::into).collect(),
    }
}

fn behind() -> Status {
    refuse(
        Reason::Overloaded,
        "more has changed than this watch could take; list what there is and watch again",
        [],
    )
}
