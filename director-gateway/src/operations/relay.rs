//! From the outbox to a scheduler: at once after the acceptance, and again when that is overdue.
//!
//! Every replica of the gateway relays. A row stays until its operation is finalized, so an operation is sent
//! again after 5 s, then after twice as long each time up to 6 h; the scheduler knows it by its id.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use binnacle_boot::{Shutdown, database::Database, grpc::Channel};
use binnacle_domain::operation::{OperationId, Outcome};
use binnacle_proto::{
    common::v1,
    scheduler::v1::{
        ScheduleRequest, Submission, SubmissionResult, SubmissionState,
        scheduler_service_client::SchedulerServiceClient,
    },
    time_to,
};
use prost::Message as _;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tonic::Status;
use uuid::Uuid;

use super::{Error, Operations, postgres, sqlite};

/// Operations accepted a moment ago.
pub type Queue = mpsc::Receiver<Outgoing>;

/// Requests to schedulers under way at once.
const IN_FLIGHT: usize = 4;
/// What gathers while a request is under way is the next one's batch, unless that takes longer than this.
const PATIENCE: Duration = Duration::from_millis(50);
/// A request that takes longer is given up; its operations are sent again when that is overdue.
const DEADLINE: Duration = Duration::from_secs(10);
/// Operations in one request.
const BATCH: usize = 256;
/// Bytes in one request, so that it stays far below what gRPC takes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Overdue rows of one claim: few, so that those that are old come in between those that are new.
const CLAIM: usize = 64;
/// How soon to look for overdue rows again: when there were none, when there were some, and when there may be more.
const NONE_DUE: Duration = Duration::from_secs(5);
const SOME_DUE: Duration = Duration::from_millis(500);
const MORE_DUE: Duration = Duration::from_millis(20);
/// A row is committed at most so long after it says when it is due, unless it is left to the next look at all rows.
const LATEST: Duration = Duration::from_secs(5);
/// How often to look at all rows.
const LOOK_AT_ALL: Duration = Duration::from_mins(1);

/// In microseconds: longer than there have been rows, and few enough to reckon with.
const EVER: i64 = i64::MAX / 4;

/// An operation on its way.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The operation.
    pub id: Uuid,
    pub(super) spec: v1::OperationSpec,
}

/// Relays until the gateway stops. What is under way then stays in the outbox.
pub async fn relay(
    operations: Operations,
    mut queue: Queue,
    scheduler: SchedulerServiceClient<Channel>,
    shutdown: Shutdown,
) {
    let in_flight = Arc::new(Semaphore::new(IN_FLIGHT));
    let is_answered = Arc::new(AtomicBool::new(true));
    let mut claims = Claims::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let Ok(permit) = Arc::clone(&in_flight).acquire_owned().await else {
            return;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = tokio::time::sleep_until(claims.next) => {
                let claimed = claims.claim(&operations).await;
                // What nobody takes is left where it is.
                if !is_answered.load(Ordering::Relaxed) {
                    claims.next = Instant::now() + NONE_DUE;
                }
                batch.extend(claimed);
            }
        }
        if batch.is_empty() {
            continue;
        }
        let (operations, mut scheduler) = (operations.clone(), scheduler.clone());
        let is_full = batch.len() >= BATCH;
        let batch: Vec<_> = batch.drain(..).map(|outgoing| (outgoing, None)).collect();
        let is_answered = Arc::clone(&is_answered);
        let sent = shutdown.spawn(async move {
            for chunk in chunks(batch) {
                let answered = operations.send(&mut scheduler, chunk).await;
                is_answered.store(answered, Ordering::Relaxed);
            }
            drop(permit);
        });
        if !is_full {
            let _ = timeout(PATIENCE, sent).await;
        }
    }
}

/// When overdue rows are looked for, and among which.
struct Claims {
    next: Instant,
    /// When all were claimed that were overdue: what is so later has become so since.
    none_before: Option<Instant>,
    look_at_all: Instant,
}

impl Default for Claims {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            next: now,
            none_before: None,
            look_at_all: now,
        }
    }
}

impl Claims {
    async fn claim(&mut self, operations: &Operations) -> Vec<Outgoing> {
        let now = Instant::now();
        let due_since = if now < self.look_at_all {
            self.none_before.map(|before| now - before + LATEST)
        } else {
            None
        };
        let (claimed, rows) = match operations.claim(due_since).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot read the outbox"
                );
                self.next = now + NONE_DUE;
                return Vec::new();
            }
        };
        let pause = match rows {
            0 => NONE_DUE,
            CLAIM => MORE_DUE,
            _ => SOME_DUE,
        };
        if rows < CLAIM {
            self.none_before = Some(now);
            if due_since.is_none() {
                self.look_at_all = now + LOOK_AT_ALL;
            }
        }
        self.next = Instant::now() + pause;
        claimed
    }
}

type Sending = (Outgoing, Option<v1::Receipt>);

fn chunks(batch: Vec<Sending>) -> Vec<Vec<Sending>> {
    let mut chunks = vec![Vec::new()];
    let mut bytes = 0;
    for item in batch {
        let length = item.0.spec.encoded_len();
        if bytes + length > BATCH_BYTES && bytes > 0 {
            chunks.push(Vec::new());
            bytes = 0;
        }
        bytes += length;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(item);
        }
    }
    chunks
}

impl Operations {
    /// Whether a scheduler answered.
    async fn send(
        &self,
        scheduler: &mut SchedulerServiceClient<Channel>,
        mut batch: Vec<Sending>,
    ) -> bool {
        // A conflict with an operation that is finalized here but still open there is resolved by its receipt.
        for _ in 0..2 {
            let submissions = batch
                .iter()
                .map(|(outgoing, previous)| Submission {
                    spec: Some(outgoing.spec.clone()),
                    previous: previous.clone(),
                })
                .collect();
            let request = scheduler.schedule(ScheduleRequest { submissions });
            let answer = match timeout(DEADLINE, request).await {
                Ok(answer) => answer,
                Err(_) => Err(Status::deadline_exceeded("no answer")),
            };
            let answer = match answer {
                Ok(answer) => answer.into_inner(),
                Err(status) => {
                    tracing::warn!(%status, operations = batch.len(), "no scheduler took the operations; they are sent again");
                    return false;
                }
            };
            let mut again = Vec::new();
            for (item, result) in batch.into_iter().zip(answer.results) {
                if let Some(previous) = self.judge(item.0.id, result).await {
                    again.push((item.0, Some(previous)));
                }
            }
            if again.is_empty() {
                break;
            }
            batch = again;
        }
        true
    }

    /// Acts upon the scheduler's answer. The receipt to send the operation again with, if that helps.
    async fn judge(&self, id: Uuid, result: SubmissionResult) -> Option<v1::Receipt> {
        let state = SubmissionState::try_from(result.state).unwrap_or_default();
        let outcome = match state {
            SubmissionState::Recorded | SubmissionState::Retry | SubmissionState::Unspecified => {
                return None;
            }
            SubmissionState::Concluded => result.outcome.map(Outcome::from)?,
            SubmissionState::Invalid => {
                tracing::error!(operation.id = %id, reason = result.reason, "the scheduler refuses an operation");
                Outcome::Failed {
                    error: result.reason,
                    detail: String::new(),
                }
            }
            SubmissionState::Conflict => {
                return self
                    .receipt_of_conflict(id, &result.conflicting_operation_id)
                    .await;
            }
        };
        if let Err(error) = self.finalize(OperationId(id), outcome).await {
            tracing::warn!(operation.id = %id, error = &error as &dyn std::error::Error, "cannot finalize; it is tried again");
        }
        None
    }

    async fn receipt_of_conflict(&self, id: Uuid, other: &str) -> Option<v1::Receipt> {
        let receipt = match other.parse() {
            Ok(other) => self.receipt(other).await,
            Err(_) => Ok(None),
        };
        match receipt {
            Ok(Some(receipt)) => Some(v1::Receipt {
                operation_id: other.to_owned(),
                outcome: Some(receipt.outcome.into()),
                finalize_time: Some(time_to(receipt.finalized_at)),
            }),
            Ok(None) => {
                tracing::error!(operation.id = %id, conflict.id = other, "the scheduler holds another operation of this resource open that the registry has not finalized; sent again later");
                None
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot read receipts"
                );
                None
            }
        }
    }

    /// Claims overdue operations for sending, of all or of those that became so within `due_since`. Each is claimed
    /// once until its next send is due. Also says how many there were with those that cannot be read, which are left
    /// out.
    pub async fn claim(
        &self,
        due_since: Option<Duration>,
    ) -> Result<(Vec<Outgoing>, usize), Error> {
        type Row = (Uuid, Vec<u8>, Vec<u8>);
        let limit = i64::try_from(CLAIM).unwrap_or(i64::MAX);
        let since = due_since.map_or(EVER, |since| {
            i64::try_from(since.as_micros()).unwrap_or(EVER)
        });
        let rows: Vec<Row> = match &self.database {
            Database::Sqlite(sqlite) => {
                if !self.anything_due(sqlite).await? {
                    return Ok((Vec::new(), 0));
                }
                sqlx::query_as(sqlite::CLAIM)
                    .bind(limit)
                    .bind(since)
                    .fetch_all(&sqlite.write)
                    .await?
            }
            Database::Postgres(pool) => {
                sqlx::query_as(postgres::CLAIM)
                    .bind(limit)
                    .bind(since)
                    .fetch_all(pool)
                    .await?
            }
        };
        let count = rows.len();
        let mut claimed = Vec::with_capacity(count);
        for (id, spec, definitions) in rows {
            let webhooks = self.definitions.find(&definitions).await?;
            let Some((webhooks, mut spec)) =
                webhooks.zip(v1::OperationSpec::decode(spec.as_slice()).ok())
            else {
                let error = Error::Unreadable { id };
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an accepted operation cannot be sent"
                );
                continue;
            };
            spec.webhooks = webhooks;
            claimed.push(Outgoing { id, spec });
        }
        Ok((claimed, count))
    }

    /// Spares the write lock while nothing is overdue.
    async fn anything_due(
        &self,
        sqlite: &binnacle_boot::database::Sqlite,
    ) -> Result<bool, sqlx::Error> {
        const DUE: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE send_at <= CAST(unixepoch('subsec') * 1000000 AS integer))";
        sqlx::query_scalar(DUE).fetch_one(&sqlite.read).await
    }
}
