//! Granting what was not granted when it was recorded: what is due again, and what others have left behind.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use binnacle_boot::{Shutdown, database::Kept, failpoint};
use binnacle_domain::operation::{Operation, OperationId};
use binnacle_proto::scheduler::v1;

use crate::{
    metrics::Metrics,
    store::{Claim, Due, Error, Granted, Release, Store, Write, kept},
    workers::{Claimant, Slot, Workers},
};

/// Operations of one claim, at most.
const LIMIT: u32 = 128;
/// How soon to look for what other replicas have recorded and released; twice as long each time there was nothing.
const POLL: Duration = Duration::from_secs(1);
pub(crate) const LONGEST_POLL: Duration = Duration::from_secs(4);
/// How long to wait when what is due is not for those who have room.
const PAUSE: Duration = Duration::from_millis(100);

/// Grants operations to the workers whose streams end here.
#[derive(Clone)]
pub(crate) struct Claims {
    pub(crate) store: Store,
    pub(crate) workers: Arc<Workers>,
    pub(crate) metrics: Metrics,
    /// When it may take over from sessions of which it has not seen the end: one lease after its own start, since
    /// their workers could not renew them with it before.
    pub(crate) takes_over_from: Instant,
}

impl Claims {
    /// Grants until the shutdown.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let (mut poll, mut kept) = (POLL, kept());
        loop {
            let next = match self.pass(&mut kept).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error = error.with_cause(), "cannot claim operations");
                    Some(POLL)
                }
            };
            let pause = next.unwrap_or(poll).min(poll);
            poll = if pause < poll {
                POLL
            } else {
                (poll * 2).min(LONGEST_POLL)
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.workers.woken() => poll = POLL,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Claims until nothing is due or nobody has room, and says when to look again, as far as is known.
    async fn pass(&self, kept: &mut Kept) -> Result<Option<Duration>, Error> {
        loop {
            if !self.workers.have_room() {
                return Ok(None);
            }
            let expired_until = if Instant::now() >= self.takes_over_from {
                self.store.now()
            } else {
                0
            };
            match self.store.next_due(expired_until, kept).await? {
                Due::Never => return Ok(None),
                Due::In(span) if !span.is_zero() => return Ok(Some(span)),
                Due::In(_) => {}
            }
            let Some(claimant) = self.workers.claimant(LIMIT) else {
                continue;
            };
            let claimed = self.claim_for(&claimant, expired_until).await;
            let is_empty = claimed.as_ref().is_ok_and(Vec::is_empty);
            self.deliver(&claimant, claimed?).await;
            if is_empty {
                return Ok(Some(PAUSE));
            }
        }
    }

    async fn claim_for(
        &self,
        claimant: &Claimant,
        expired_until: i64,
    ) -> Result<Vec<Granted>, Error> {
        let claim = Claim {
            session: claimant.slot.session,
            limit: i64::from(claimant.limit),
            share: i64::from(claimant.share),
            excluded: claimant.excluded.clone(),
            expired_until,
        };
        let claimed = self.store.claim(claim).await;
        if claimed.is_err() {
            self.workers.claimed(claimant, &[]);
        }
        claimed
    }

    async fn deliver(&self, claimant: &Claimant, granted: Vec<Granted>) {
        let ids: Vec<_> = granted
            .iter()
            .map(|granted| (granted.operation.spec.id, granted.destination))
            .collect();
        self.workers.claimed(claimant, &ids);
        for granted in granted {
            self.grant(claimant.slot, granted.operation, granted.is_orphaned)
                .await;
        }
    }

    /// Sends a committed grant. Where the stream has gone meanwhile, the operation is given back at once.
    pub(crate) async fn grant(&self, slot: Slot, operation: Operation, is_orphaned: bool) {
        failpoint::reach("scheduler.granted");
        let (id, epoch) = (operation.spec.id, operation.epoch);
        let grant = v1::Grant {
            operation: Some(operation.into()),
            orphaned: is_orphaned,
            now_unix_micros: self.store.now(),
        };
        if self.workers.grant(slot, grant) {
            self.metrics.grants.inc();
            return;
        }
        self.give_back(id, epoch, is_orphaned).await;
    }

    /// Gives back what was granted and never left.
    pub(crate) async fn give_back(&self, id: OperationId, epoch: u64, is_orphaned: bool) {
        let release = Release {
            id,
            epoch: epoch.cast_signed(),
            retry_in: 0,
            is_orphaned,
        };
        // If this fails, the worker's next word about what it holds frees the operation.
        if let Err(error) = self.store.send(Write::Release(release)).await {
            tracing::warn!(operation.id = %id, %error, "cannot give an operation back");
        }
        self.workers.wake();
    }
}
