//! Operations as they change.

use std::{pin::Pin, time::Duration};

use binnacle_boot::Shutdown;
use binnacle_domain::operation::{Operation, OperationId, Outcome, Phase};
use binnacle_proto::{
    Invalid,
    common::v1 as common,
    scheduler::v1,
    status::{Reason, refuse},
};
use futures::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::{
    service::{missing, unavailable},
    store::{self, Behind, Latest, Progress, Store, Watch, WatchOne},
};

/// How long after the last change to look for one that nobody told of.
const LOOK: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(4);
/// Frames that a slow watcher may be behind.
const BEHIND: usize = 16;
/// From so many operations on, a frame is full.
const FULL_FRAME: usize = 256;

type Frame = Result<v1::WatchOperationsResponse, Status>;
pub(crate) type Frames = Pin<Box<dyn Stream<Item = Frame> + Send>>;

/// How much is said about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Basic,
    Full,
}

impl TryFrom<i32> for View {
    type Error = Invalid;

    fn try_from(view: i32) -> Result<Self, Invalid> {
        match v1::OperationView::try_from(view) {
            Ok(v1::OperationView::Basic) => Ok(Self::Basic),
            Ok(v1::OperationView::Unspecified | v1::OperationView::Full) => Ok(Self::Full),
            Err(_) => Err(Invalid {
                field: "view",
                reason: format!("{view} is unknown"),
            }),
        }
    }
}

/// One operation: as it is, then after each change, until it has ended.
pub(crate) async fn one(
    store: Store,
    (id, view): (OperationId, View),
    shutdown: &Shutdown,
) -> Result<Frames, Status> {
    let changes = store.changes().watch_one(id);
    let current = store.get(id).await.map_err(unavailable)?;
    let current = current.ok_or_else(|| missing(id))?;
    let (frames, received) = mpsc::channel(BEHIND);
    let stopping = shutdown.clone();
    shutdown.spawn(async move {
        let watching = follow(&store, (current, view), changes, &frames);
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

/// The time before the next look at an operation that has not changed, after so long.
fn longer(look: Duration) -> Duration {
    LONGEST.min(look * 2)
}

async fn follow(
    store: &Store,
    (current, view): (Operation, View),
    changes: WatchOne,
    frames: &mpsc::Sender<Frame>,
) -> Result<(), Status> {
    let id = current.spec.id;
    let mut current = current;
    loop {
        let (version, is_done) = (current.version, matches!(current.phase, Phase::Done(_)));
        if frames.send(Ok(frame([view.of(current)]))).await.is_err() || is_done {
            return Ok(());
        }
        let mut look = LOOK;
        current = loop {
            // Told or not, the database says what it has become.
            let _ = tokio::time::timeout(look, changes.changed()).await;
            look = longer(look);
            let next = store.get(id).await.map_err(unavailable)?;
            match next {
                Some(next) if next.version != version => break next,
                Some(_) => {}
                None => return Err(missing(id)),
            }
        };
    }
}

/// Every change from now on.
pub(crate) fn all(store: Store, view: View, shutdown: &Shutdown) -> Frames {
    let changes = store.changes().watch();
    let (frames, received) = mpsc::channel(BEHIND);
    let stopping = shutdown.clone();
    shutdown.spawn(async move {
        let watching = follow_all(&store, view, changes, &frames);
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
    view: View,
    mut changes: Watch,
    frames: &mpsc::Sender<Frame>,
) -> Result<(), Status> {
    loop {
        let first = changes.next().await?;
        let mut latest = Latest::default();
        first.iter().for_each(|changed| latest.note(changed));
        while latest.len() < FULL_FRAME
            && let Some(more) = changes.try_next()?
        {
            more.iter().for_each(|changed| latest.note(changed));
        }
        let operations = match view {
            View::Basic => basic(store, latest).await,
            View::Full => full(store, latest).await,
        };
        let operations = operations.map_err(unavailable)?;
        if !operations.is_empty() && frames.send(Ok(frame(operations))).await.is_err() {
            return Ok(());
        }
    }
}

async fn full(store: &Store, latest: Latest) -> Result<Vec<common::Operation>, store::Error> {
    let ids = latest.into_changes().map(|changed| changed.id);
    let operations = store.get_all(ids).await?;
    Ok(operations.into_iter().map(Into::into).collect())
}

/// Asks the database about those only whose writer is not known.
async fn basic(store: &Store, latest: Latest) -> Result<Vec<common::Operation>, store::Error> {
    let mut operations = Vec::with_capacity(latest.len());
    let mut unknown = Vec::new();
    for changed in latest.into_changes() {
        match changed.progress {
            Some(progress) => operations.push(said(changed.id, progress)),
            None => unknown.push(changed.id),
        }
    }
    if !unknown.is_empty() {
        let found = store.progress(unknown).await?;
        let found = found.into_iter();
        operations.extend(found.filter_map(|it| Some(said(it.id, it.progress?))));
    }
    Ok(operations)
}

impl View {
    fn of(self, operation: Operation) -> common::Operation {
        if self == Self::Full {
            return operation.into();
        }
        let progress = Progress {
            phase: match &operation.phase {
                Phase::Running => store::Phase::InProgress,
                Phase::Concluded(_) => store::Phase::Finalizing,
                Phase::Done(Outcome::Succeeded) => store::Phase::Succeeded,
                Phase::Done(Outcome::Failed { .. }) => store::Phase::Failed,
            },
            version: i64::try_from(operation.version).unwrap_or(i64::MAX),
        };
        said(operation.spec.id, progress)
    }
}

fn said(id: OperationId, progress: Progress) -> common::Operation {
    let Progress { phase, version } = progress;
    let phase = match phase {
        store::Phase::InProgress => common::Phase::InProgress,
        store::Phase::Finalizing => common::Phase::Finalizing,
        store::Phase::Succeeded => common::Phase::Succeeded,
        store::Phase::Failed => common::Phase::Failed,
    };
    common::Operation {
        spec: Some(common::OperationSpec {
            operation_id: id.to_string(),
            ..Default::default()
        }),
        status: Some(common::OperationStatus {
            phase: phase.into(),
            version: version.try_into().unwrap_or_default(),
            ..Default::default()
        }),
    }
}

fn frame(operations: impl Into<Vec<common::Operation>>) -> v1::WatchOperationsResponse {
    v1::WatchOperationsResponse {
        operations: operations.into(),
    }
}

impl From<Behind> for Status {
    fn from(Behind: Behind) -> Self {
        refuse(
            Reason::Overloaded,
            "more has changed than this watch was told; list what there is and watch again",
            [],
        )
    }
}

#[cfg(test)]
mod tests {
    use std::iter;

    use super::*;

    #[test]
    fn an_operation_that_does_not_change_is_looked_at_ever_more_rarely() {
        let looks = iter::successors(Some(LOOK), |look| Some(longer(*look)));
        let looks: Vec<_> = looks.take(6).map(|look| look.as_millis()).collect();
        assert_eq!(looks, [500, 1_000, 2_000, 4_000, 4_000, 4_000]);
    }
}
