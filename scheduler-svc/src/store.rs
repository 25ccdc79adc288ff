//! The operations database: what is written passes one writer, which commits what is there together.

mod changes;
mod clock;
mod commit;
mod definitions;
mod destination;
mod error;
mod list;
mod metrics;
#[cfg(test)]
mod plans;
mod sql;
mod statement;
mod stored;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use binnacle_boot::{
    Shutdown, batch,
    database::{Database, Kept, Migration, Purpose},
    ids,
};
use binnacle_domain::operation::{Attempt, Operation, OperationId, Outcome, Spec};
use prometheus::Registry;
use uuid::Uuid;

use self::{
    changes::ProgressRow,
    clock::Clock,
    commit::{Answer, ClaimRow, Commits},
    definitions::Definitions,
    destination::destination,
    metrics::Metrics,
    sql::Value,
    stored::{AttemptRow, OperationRow},
};
pub(crate) use self::{
    changes::{Behind, Changed, Changes, Latest, Phase, Progress, Watch, WatchOne},
    clock::micros_of,
    commit::{Claim, Done, Record, Recorded, Release, Save, Saved, Session, Write},
    error::Error,
    list::{Filter, Phase as PhaseFilter},
    sql::kept,
};

pub use self::error::StartError;

/// The schema that the service owns.
pub(crate) const SCHEMA: &str = "scheduler";

pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "operations",
        sqlite: include_str!("../migrations/sqlite/0001_operations.sql"),
        postgres: include_str!("../migrations/postgres/0001_operations.sql"),
    },
    Migration {
        version: 2,
        name: "write",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0002_write.sql"),
    },
    Migration {
        version: 3,
        name: "write_batch",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0003_write_batch.sql"),
    },
    Migration {
        version: 4,
        name: "operation_tenant",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0004_operation_tenant.sql"),
    },
    Migration {
        version: 5,
        name: "write_batch_lists",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0005_write_batch_lists.sql"),
    },
];

/// For every connection to PostgreSQL. The planner knows nothing about a table that was empty a moment ago;
/// whatever it thinks of its size, a statement goes by an index.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// The operations database. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
    definitions: Arc<Definitions>,
    clock: Arc<Clock>,
    writer: batch::Writer<Commits>,
    changes: Changes,
}

/// The answer to a write to come.
pub(crate) type Pending = batch::Pending<Commits>;

/// An operation that is leased to a session.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) operation: Operation,
    pub(crate) destination: i64,
    pub(crate) is_orphaned: bool,
}

/// When there is something to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Never,
    /// In this time; zero: now.
    In(Duration),
}

impl Store {
    /// Starts the writer of an opened and migrated database.
    pub(crate) async fn start(
        database: Database,
        registry: &Registry,
        shutdown: &Shutdown,
    ) -> Result<Self, StartError> {
        let now: Vec<(i64,)> = sql::read(&database, statement::CLOCK, &[])
            .await
            .map_err(StartError::Clock)?;
        let clock = Arc::new(Clock::new(now.first().map_or(0, |(now,)| *now)));
        let changes = Changes::new();
        if let Some(pool) = database.postgres() {
            let exchange = changes
                .clone()
                .exchange(pool.clone(), ids::v4(), shutdown.clone());
            shutdown.spawn(exchange);
        }
        let commits = Commits {
            database: database.clone(),
            clock: Arc::clone(&clock),
            changes: changes.clone(),
            metrics: Metrics::register(registry).map_err(StartError::Metrics)?,
            kept: kept(),
        };
        let options = batch::Options {
            capacity: 8192,
            ..batch::Options::default()
        };
        Ok(Self {
            definitions: Arc::new(Definitions::new(database.clone())),
            writer: database.batch(Purpose::Write, commits, options, shutdown),
            database,
            clock,
            changes,
        })
    }

    /// Microseconds since 1970-01-01T00:00:00Z by the database's clock.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now()
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Which operations change.
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What is to be recorded of a new operation, and the operation as it will be. Stores its webhooks' definitions.
    pub(crate) async fn prepare(&self, mut spec: Spec) -> Result<(Record, Operation), Error> {
        let references = self.definitions.keep(&mut spec.webhooks).await?;
        let now = self.now();
        let operation = Operation::new(spec, stored::time(now));
        let spec = &operation.spec;
        let record = Record {
            id: spec.id,
            tenant: spec.tenant,
            resource: spec.resource.clone(),
            destination: destination(spec),
            spec: stored::spec_to(spec, &references),
            webhooks: stored::json(&operation.webhooks),
            previous: None,
            now,
            holder: None,
        };
        Ok((record, operation))
    }

    /// Records an operation, unless too much is waiting.
    pub(crate) fn record(
        &self,
        record: Record,
    ) -> Result<impl Future<Output = Result<Recorded, Error>> + Send + use<>, Error> {
        let pending = self.writer.try_send(Write::Record(record))?;
        Ok(async move {
            match pending.await? {
                Answer::Recorded(recorded) => Ok(recorded),
                Answer::Refused => Err(Error::Refused),
                Answer::Saved(_) | Answer::Claimed(_) | Answer::Session(_) | Answer::Freed(_) => {
                    Err(Error::Stopped)
                }
            }
        })
    }

    /// Queues what a worker says and gives the answer to come, to be read with [`saved`].
    pub(crate) async fn send(&self, write: Write) -> Result<Pending, Error> {
        Ok(self.writer.send(write).await?)
    }

    /// Whether the session goes on.
    pub(crate) async fn session(&self, session: Session) -> Result<bool, Error> {
        match self.writer.submit(Write::Session(session)).await? {
            Answer::Session(goes_on) => Ok(goes_on),
            Answer::Refused => Err(Error::Refused),
            Answer::Recorded(_) | Answer::Saved(_) | Answer::Claimed(_) | Answer::Freed(_) => {
                Err(Error::Stopped)
            }
        }
    }

    /// Frees what `session` was granted before and does not hold; says how many operations that were.
    pub(crate) async fn holds(
        &self,
        session: Uuid,
        held: Vec<Uuid>,
        granted_before: i64,
    ) -> Result<usize, Error> {
        // Nearly always there is nothing, and looking does not keep the writer from others.
        let values = [
            Value::Ids(&held),
            Value::Id(session),
            Value::Number(granted_before),
        ];
        let lost: Vec<(Uuid,)> = sql::read(&self.database, statement::LOST, &values).await?;
        if lost.is_empty() {
            return Ok(0);
        }
        let holds = Session::Holds {
            session,
            held,
            granted_before,
        };
        match self.writer.submit(Write::Session(holds)).await? {
            Answer::Freed(count) => Ok(count),
            Answer::Refused => Err(Error::Refused),
            Answer::Recorded(_) | Answer::Saved(_) | Answer::Claimed(_) | Answer::Session(_) => {
                Err(Error::Stopped)
            }
        }
    }

    /// Leases operations to a session.
    pub(crate) async fn claim(&self, claim: Claim) -> Result<Vec<Granted>, Error> {
        let rows = match self.writer.submit(Write::Claim(claim)).await? {
            Answer::Claimed(rows) => rows,
            Answer::Refused => return Err(Error::Refused),
            Answer::Recorded(_) | Answer::Saved(_) | Answer::Session(_) | Answer::Freed(_) => {
                return Err(Error::Stopped);
            }
        };
        let mut granted = Vec::with_capacity(rows.len());
        for row in rows {
            let ClaimRow {
                operation,
                destination,
                orphaned,
            } = row;
            let id = operation.id;
            match self.read(operation).await {
                Ok(operation) => granted.push(Granted {
                    operation,
                    destination,
                    is_orphaned: orphaned != 0,
                }),
                // One that cannot be read must not keep the others; it stays leased until somebody looks.
                Err(error) => {
                    tracing::error!(operation.id = %id, %error, "cannot grant an operation");
                }
            }
        }
        Ok(granted)
    }

    /// When there is something to claim; sessions that expired up to `expired_until` are ended.
    pub(crate) async fn next_due(&self, expired_until: i64, kept: &mut Kept) -> Result<Due, Error> {
        let values = [Value::Number(expired_until)];
        let asked = Instant::now();
        let rows: Vec<(Option<i64>, i64)> =
            sql::read_again(&self.database, kept, statement::NEXT_DUE, &values).await?;
        let Some((due_at, now)) = rows.first().copied() else {
            return Ok(Due::Never);
        };
        self.clock.set(now, asked);
        Ok(due_at.map_or(Due::Never, |due_at| {
            let micros = u64::try_from(due_at.saturating_sub(now)).unwrap_or(0);
            Due::In(Duration::from_micros(micros))
        }))
    }

    /// An operation, running or finished.
    pub(crate) async fn get(&self, id: OperationId) -> Result<Option<Operation>, Error> {
        Ok(self.get_all([id]).await?.pop())
    }

    /// Those operations that there are, running or finished, in any order.
    pub(crate) async fn get_all(
        &self,
        ids: impl IntoIterator<Item = OperationId>,
    ) -> Result<Vec<Operation>, Error> {
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let rows: Vec<OperationRow> =
            sql::read(&self.database, statement::GET, &[Value::Ids(&ids)]).await?;
        self.read_all(rows).await
    }

    /// How far those operations have come that there are, running or finished, in any order.
    pub(crate) async fn progress(&self, ids: Vec<OperationId>) -> Result<Vec<Changed>, Error> {
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let rows: Vec<ProgressRow> =
            sql::read(&self.database, statement::PROGRESS, &[Value::Ids(&ids)]).await?;
        Ok(rows.into_iter().map(Changed::from).collect())
    }

    /// Operations with ids below `before`, newest first.
    pub(crate) async fn list(
        &self,
        filter: &Filter,
        before: Uuid,
        limit: i64,
    ) -> Result<Vec<Operation>, Error> {
        let rows = list::list(&self.database, filter, before, limit).await?;
        self.read_all(rows).await
    }

    /// The ledger of an operation, oldest first.
    pub(crate) async fn attempts(&self, id: OperationId) -> Result<Vec<Attempt>, Error> {
        let rows: Vec<AttemptRow> =
            sql::read(&self.database, statement::ATTEMPTS, &[Value::Id(id.0)]).await?;
        rows.into_iter().map(Attempt::try_from).collect()
    }

    async fn read_all(&self, rows: Vec<OperationRow>) -> Result<Vec<Operation>, Error> {
        let mut operations = Vec::with_capacity(rows.len());
        for row in rows {
            operations.push(self.read(row).await?);
        }
        Ok(operations)
    }

    async fn read(&self, row: OperationRow) -> Result<Operation, Error> {
        let references = row.references()?;
        let definitions = self.definitions.find(row.id, &references).await?;
        row.into_operation(definitions)
    }
}

/// What became of something that [`Store::send`] was given.
pub(crate) async fn saved(pending: Pending) -> Result<Saved, Error> {
    match pending.await? {
        Answer::Saved(saved) => Ok(saved),
        // It would be refused again: whoever drives the operation has to let it go.
        Answer::Refused => Ok(Saved::Stale),
        Answer::Recorded(_) | Answer::Claimed(_) | Answer::Session(_) | Answer::Freed(_) => {
            Err(Error::Stopped)
        }
    }
}

/// Whether the session goes on that [`Store::send`] was told about.
pub(crate) async fn goes_on(pending: Pending) -> Result<bool, Error> {
    match pending.await? {
        Answer::Session(goes_on) => Ok(goes_on),
        Answer::Refused => Err(Error::Refused),
        Answer::Recorded(_) | Answer::Claimed(_) | Answer::Saved(_) | Answer::Freed(_) => {
            Err(Error::Stopped)
        }
    }
}

/// The stored form of a worker's progress.
pub(crate) fn webhooks_to(webhooks: &[binnacle_domain::operation::WebhookStatus]) -> String {
    stored::json(webhooks)
}

/// The stored form of an outcome.
pub(crate) fn outcome_to(outcome: &Outcome) -> String {
    stored::json(outcome)
}
