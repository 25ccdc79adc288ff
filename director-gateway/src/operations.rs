//! The gateway's share in operations: they are born here and their outcomes are applied here.
//!
//! Accepting marks the resource and records the whole operation in the outbox, in one transaction; only after its
//! commit does anything leave. An outbox row is deleted by the finalization and never earlier, so that schedulers
//! can be given an operation again however much they have lost. The finalization applies the recorded outcome
//! where the resource still carries the operation, and leaves a receipt, by which a repeat is recognised.
//!
//! Both pass one writer, which commits what is there together. It also reads the applications that operations are to
//! be started on, so that neither a request nor its answer passes a second queue: on SQLite in the transaction that
//! accepts them, on PostgreSQL in the statement before it, which accepts those that are as they were read.

mod commit;
mod definitions;
mod finalize;
mod lookup;
#[cfg(test)]
mod plans;
mod postgres;
mod relay;
mod sqlite;

use std::{mem, sync::Arc};

use binnacle_boot::{
    Shutdown, batch, clock,
    database::{self, Database, Purpose},
    failpoint, ids,
};
use binnacle_domain::{
    operation::{
        APPLICATION, OperationId, OperationType, Outcome, Resource, Spec, UNPAIR_APPLICATION,
    },
    webhook::Webhook,
};
use prost::Message as _;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, Statement};
use tokio::sync::mpsc;
use uuid::Uuid;

use self::{commit::Entries, definitions::Definitions};
pub use self::{
    finalize::{Finalization, Finalized},
    lookup::Receipt,
    relay::{Queue, relay},
};
use crate::registry::{self, Target, application::Model, reads};

/// An operation that a mutation wants to start on an application, with the revisions that it has read.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Internal id of the tenant.
    pub tenant: Uuid,
    /// The application.
    pub application: Uuid,
    /// Its revision when it was read.
    pub revision: i64,
    /// Its template's id and revision when they were read, where it has one.
    pub template: Option<(Uuid, i64)>,
    /// What the operation does to it.
    pub operation_type: OperationType,
    /// Name of the mutation.
    pub category: String,
    /// The webhooks to drive.
    pub webhooks: Vec<Webhook>,
    /// JSON text with the keys `Application`, `TenantID` and `Headers`.
    pub request_object: String,
    /// Correlation id of the request.
    pub correlation_id: String,
    /// W3C traceparent of the request, empty without one.
    pub traceparent: String,
}

/// Why nothing was accepted or applied.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The database did not take it.
    #[error("the registry's database failed")]
    Database(#[source] Arc<sqlx::Error>),
    /// The database did not take it.
    #[error("the registry's database failed")]
    Orm(#[source] Arc<DbErr>),
    /// A row holds what this version cannot read.
    #[error("operation {id} in the outbox cannot be read")]
    Unreadable {
        /// The operation.
        id: Uuid,
    },
    /// Too much is waiting, or the gateway stops.
    #[error("{0}")]
    Refused(String),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        database::failure(error).into()
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Orm(Arc::new(error))
    }
}

impl From<reads::Failure> for Error {
    fn from(failure: reads::Failure) -> Self {
        match failure {
            reads::Failure::Database(error) => Self::Database(error),
            reads::Failure::Row(error) => Self::Orm(error),
        }
    }
}

impl From<batch::Error<Error>> for Error {
    fn from(error: batch::Error<Error>) -> Self {
        match error {
            batch::Error::Commit(error) => error,
            other => Self::Refused(other.to_string()),
        }
    }
}

/// An operation as the outbox keeps it, made complete before anything is written.
#[derive(Clone, Debug)]
struct Accepted {
    id: Uuid,
    tenant: Uuid,
    application: Uuid,
    revision: i64,
    template: Option<(Uuid, i64)>,
    operation_type: &'static str,
    /// While it is in progress, after success (`None`: deleted), after failure.
    conditions: (&'static str, Option<&'static str>, &'static str),
    spec: Vec<u8>,
    definitions: Vec<u8>,
    outgoing: relay::Outgoing,
}

impl From<Proposal> for Accepted {
    /// Without [what is stored](Accepted::complete) of it.
    fn from(proposal: Proposal) -> Self {
        let Proposal {
            tenant,
            application,
            revision,
            template,
            operation_type,
            category,
            webhooks,
            request_object,
            correlation_id,
            traceparent,
        } = proposal;
        let id = ids::v7();
        let conditions = conditions(operation_type, &category);
        let spec = Spec {
            id: OperationId(id),
            operation_type,
            category,
            resource: Resource {
                kind: APPLICATION.to_owned(),
                id: application,
            },
            tenant,
            correlation_id,
            webhooks,
            related_resources: Vec::new(),
            request_object,
            traceparent,
            created_at: clock::now(),
        };
        let spec = spec.into();
        Self {
            id,
            tenant,
            application,
            revision,
            template,
            operation_type: operation_type_text(operation_type),
            conditions,
            spec: Vec::new(),
            definitions: Vec::new(),
            outgoing: relay::Outgoing { id, spec },
        }
    }
}

impl Accepted {
    /// With what is stored of it: the specification without the webhooks, and references to their definitions.
    fn complete(mut self, definitions: Vec<u8>) -> Self {
        let spec = &mut self.outgoing.spec;
        let webhooks = mem::take(&mut spec.webhooks);
        self.spec = spec.encode_to_vec();
        spec.webhooks = webhooks;
        self.definitions = definitions;
        self
    }
}

/// Compass's status conditions of an application (contract section 2.3).
fn conditions(
    operation_type: OperationType,
    category: &str,
) -> (&'static str, Option<&'static str>, &'static str) {
    match operation_type {
        OperationType::Create => ("CREATING", Some("CREATE_SUCCEEDED"), "CREATE_FAILED"),
        OperationType::Update if category == UNPAIR_APPLICATION => {
            ("UNPAIRING", Some("INITIAL"), "UNPAIR_FAILED")
        }
        OperationType::Update => ("UPDATING", Some("UPDATE_SUCCEEDED"), "UPDATE_FAILED"),
        OperationType::Delete => ("DELETING", None, "DELETE_FAILED"),
    }
}

/// The spelling of the poll URL and of the outbox.
pub fn operation_type_text(operation_type: OperationType) -> &'static str {
    match operation_type {
        OperationType::Create => "Create",
        OperationType::Update => "Update",
        OperationType::Delete => "Delete",
    }
}

/// A handle on everything that the gateway does about operations. Cheap to clone.
#[derive(Clone)]
pub struct Operations {
    database: Database,
    writer: batch::Writer<Entries>,
    definitions: Arc<Definitions>,
    outgoing: mpsc::Sender<relay::Outgoing>,
}

/// How many accepted operations may wait to be handed to the relay; beyond that they are left to its claims.
const OUTGOING: usize = 4096;

impl Operations {
    /// Starts the writer. The receiver is for [`relay()`].
    pub fn start(database: Database, shutdown: &Shutdown) -> (Self, Queue) {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let definitions = Arc::new(Definitions::new(database.clone()));
        let entries = Entries::new(database.clone(), definitions.clone());
        let operations = Self {
            writer: database.batch(Purpose::Write, entries, batch::Options::default(), shutdown),
            definitions,
            database,
            outgoing,
        };
        (operations, queue)
    }

    /// Starts what `propose` makes of an application of the tenant, and gives the application as it was. When this
    /// returns, its mark and the operation are durable. `None`: it or its template has changed since it was read,
    /// somebody else holds its row, or it cannot be read, which must not fail what is committed with it; to be read and
    /// [accepted](Operations::accept_waiting) apart.
    ///
    /// # Errors
    ///
    /// Those of `propose`, [`registry::Error::NotFound`], and what keeps the database from it.
    pub async fn start_on(
        &self,
        (tenant, application): (Uuid, Uuid),
        propose: impl Fn(&mut Target) -> Result<Proposal, registry::Error> + Send + Sync + 'static,
    ) -> Result<Option<(Model, OperationId)>, registry::Error> {
        let start = commit::Start {
            tenant,
            application,
            propose: Box::new(propose),
        };
        let answer = self.writer.submit(commit::Entry::Start(start)).await;
        let commit::Answer::Started(started) = answer.map_err(Error::from)? else {
            return Ok(None);
        };
        let (application, outgoing) = *started?;
        let operation = OperationId(outgoing.id);
        self.hand_over(outgoing);
        Ok(Some((application, operation)))
    }

    /// Marks the application and records the operation, as soon as whoever holds the row lets go. When this returns an
    /// operation, both are durable. `None`: the application or its template has changed since it was read. On SQLite
    /// nobody holds a row.
    pub async fn accept_waiting(&self, proposal: Proposal) -> Result<Option<OperationId>, Error> {
        let Database::Postgres(pool) = &self.database else {
            return Ok(None);
        };
        let accepted = self.prepare(proposal).await?;
        if !postgres::accept_waiting(pool, &accepted).await? {
            return Ok(None);
        }
        self.hand_over(accepted.outgoing);
        Ok(Some(OperationId(accepted.id)))
    }

    /// The operation of an application that the caller inserts in the same transaction, already marked with
    /// [`Creation::id`] and status `CREATING`. Its revisions are not looked at.
    pub async fn create(&self, proposal: Proposal) -> Result<Creation, Error> {
        self.prepare(proposal).await.map(Creation)
    }

    /// Hands an operation to the relay once the caller's transaction is committed.
    pub fn created(&self, creation: Creation) {
        self.hand_over(creation.0.outgoing);
    }

    /// The relay's claims will find what finds no room here.
    fn hand_over(&self, outgoing: relay::Outgoing) {
        failpoint::reach("gateway.accepted");
        tracing::debug!(
            operation.id = %outgoing.id,
            correlation.id = outgoing.spec.correlation_id,
            "accepted"
        );
        if self.outgoing.try_send(outgoing).is_err() {
            tracing::debug!("the relay is busy; the operation is sent later");
        }
    }

    async fn prepare(&self, proposal: Proposal) -> Result<Accepted, Error> {
        let mut accepted = Accepted::from(proposal);
        let webhooks = &mut accepted.outgoing.spec.webhooks;
        let definitions = self.definitions.keep(webhooks).await?;
        Ok(accepted.complete(definitions))
    }

    /// Applies a recorded outcome, once however often it is asked.
    pub async fn finalize(&self, id: OperationId, outcome: Outcome) -> Result<Finalized, Error> {
        let finalization = Finalization { id: id.0, outcome };
        match self
            .writer
            .submit(commit::Entry::Finalize(finalization))
            .await?
        {
            commit::Answer::Finalized(finalized) => {
                failpoint::reach("gateway.finalized");
                Ok(finalized)
            }
            _ => Ok(Finalized::Unknown),
        }
    }
}

/// An operation that is being created together with its application.
pub struct Creation(Accepted);

impl Creation {
    /// What the application's row carries as `operation_id`.
    pub fn id(&self) -> OperationId {
        OperationId(self.0.id)
    }

    /// Records the operation in the caller's transaction.
    pub async fn insert(&self, transaction: &DatabaseTransaction) -> Result<(), Error> {
        let backend = transaction.get_database_backend();
        let sql = match backend {
            DbBackend::Postgres => postgres::INSERT,
            _ => sqlite::INSERT,
        };
        let (_, success, failure) = self.0.conditions;
        let values: [sea_orm::Value; 9] = [
            self.0.id.into(),
            self.0.tenant.into(),
            APPLICATION.into(),
            self.0.application.into(),
            self.0.operation_type.into(),
            success.into(),
            failure.into(),
            self.0.spec.clone().into(),
            self.0.definitions.clone().into(),
        ];
        transaction
            .execute_raw(Statement::from_sql_and_values(backend, sql, values))
            .await?;
        Ok(())
    }
}
