//! The registry: tenants, applications, application templates, their webhooks and labels.
//!
//! Everything is scoped: there is no way to read an application without its tenant, and an id of
//! another tenant is answered like one that does not exist. A mutation is one transaction, run by
//! [`Registry::write`] on a task of its own, so that a client who goes away leaves nothing half
//! done. On SQLite it takes the write lock first.
//!
//! *Invariant*: the registry knows neither GraphQL nor HTTP.

pub mod application;
pub mod cursor;
mod error;
pub mod filter;
mod held;
mod known;
pub mod label;
pub(crate) mod reads;
pub mod snapshot;
pub mod template;
pub mod tenant;
pub mod webhook;
pub mod whole;

use std::sync::Arc;
use std::time::Instant;

use binnacle_boot::database::{self, Database, DatabaseUrl, Migration, Purpose};
use binnacle_boot::{Shutdown, batch};
use futures::future::BoxFuture;
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxPostgresConnector,
    SqlxSqliteConnector, TransactionOptions, TransactionTrait as _,
};
use tokio::sync::oneshot;
use uuid::Uuid;

pub use error::Error;
pub use reads::Target;

use self::application::{Registrations, Removals};
use self::known::Known;
use self::reads::{Found, Read, Reads, TARGET};
use self::whole::{Whole, With};

/// The PostgreSQL schema, and the name of the SQLite file, that the gateway owns.
pub const SCHEMA: &str = "director";

/// The steps of the schema, oldest first.
const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "registry",
        sqlite: include_str!("../migrations/sqlite/0001_registry.sql"),
        postgres: include_str!("../migrations/postgres/0001_registry.sql"),
    },
    Migration {
        version: 2,
        name: "operations",
        sqlite: include_str!("../migrations/sqlite/0002_operations.sql"),
        postgres: include_str!("../migrations/postgres/0002_operations.sql"),
    },
    Migration {
        version: 3,
        name: "write",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0003_write.sql"),
    },
    Migration {
        version: 4,
        name: "write_batch",
        sqlite: "",
        postgres: include_str!("../migrations/postgres/0004_write_batch.sql"),
    },
    Migration {
        version: 5,
        name: "receipt",
        sqlite: include_str!("../migrations/sqlite/0005_receipt.sql"),
        postgres: include_str!("../migrations/postgres/0005_receipt.sql"),
    },
];

/// The gateway's database. Clones share its connections.
#[derive(Clone)]
pub struct Registry {
    database: Database,
    reads: batch::Writer<Reads>,
    registrations: batch::Writer<Registrations>,
    removals: batch::Writer<Removals>,
    known: Known,
    read: DatabaseConnection,
    write: DatabaseConnection,
    shutdown: Shutdown,
}

impl Registry {
    /// Opens the database and brings its schema up to date.
    pub async fn open(
        url: &DatabaseUrl,
        options: database::Options,
        shutdown: &Shutdown,
    ) -> Result<Self, database::Error> {
        let database = Database::open(url, SCHEMA, options).await?;
        database.migrate(SCHEMA, MIGRATIONS).await?;
        let (read, write) = match &database {
            Database::Sqlite(sqlite) => (
                SqlxSqliteConnector::from_sqlx_sqlite_pool(sqlite.read.clone()),
                SqlxSqliteConnector::from_sqlx_sqlite_pool(sqlite.write.clone()),
            ),
            Database::Postgres(pool) => {
                let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
                (connection.clone(), connection)
            }
        };
        let reads = Reads::new(database.clone());
        let registrations = Registrations::new(database.clone());
        let removals = Removals::new(database.clone());
        let options = batch::Options::default();
        Ok(Self {
            reads: database.batch(Purpose::Read, reads, options, shutdown),
            registrations: batch::Writer::spawn(registrations, options, shutdown),
            removals: batch::Writer::spawn(removals, options, shutdown),
            known: Known::default(),
            database,
            read,
            write,
            shutdown: shutdown.clone(),
        })
    }

    /// The database itself, for statements written by hand.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The tenant that callers know as `external`.
    pub async fn tenant_by_external_id(
        &self,
        external: &str,
    ) -> Result<Option<tenant::Model>, Error> {
        match self.reads.submit(Read::Tenant(external.to_owned())).await? {
            Found::Tenant(tenant) => Ok(tenant),
            Found::Application(_) => Ok(None),
        }
    }

    /// The tenant that a caller is in, as it was a second ago at most: what changes of tenants other replicas
    /// make is seen that late.
    pub async fn tenant_of_caller(
        &self,
        external: &str,
    ) -> Result<Option<Arc<tenant::Model>>, Error> {
        let now = Instant::now();
        let seen = match self.known.get(external, now) {
            Ok(tenant) => return Ok(Some(tenant)),
            Err(seen) => seen,
        };
        let found = self.tenant_by_external_id(external).await?.map(Arc::new);
        if let Some(tenant) = &found {
            self.known.learn(tenant.clone(), seen, now);
        }
        Ok(found)
    }

    /// An application of the tenant with all that starting an operation wants to know.
    pub async fn target(&self, tenant: Uuid, id: Uuid) -> Result<Option<Target>, Error> {
        Ok(self.read_row(tenant, id, TARGET).await?.map(Target::from))
    }

    /// An application of the tenant with what belongs to it.
    pub async fn application(
        &self,
        tenant: Uuid,
        id: Uuid,
        with: With,
    ) -> Result<Option<Whole>, Error> {
        Ok(self.read_row(tenant, id, with).await?.map(|row| row.whole))
    }

    async fn read_row(
        &self,
        tenant: Uuid,
        id: Uuid,
        with: With,
    ) -> Result<Option<reads::Row>, Error> {
        match self.reads.submit(Read::Application(id, with)).await? {
            Found::Application(Some(row)) if row.whole.application.tenant_id == tenant => {
                Ok(Some(Arc::unwrap_or_clone(row)))
            }
            _ => Ok(None),
        }
    }

    /// What reads outside a transaction use.
    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// The service's task tracker.
    pub(crate) fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs `work` as one transaction, to its end even if the caller goes away: all of it is
    /// committed when it answers `Ok`, none of it otherwise.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, Error>>
            + Send
            + 'static,
    {
        let connection = self.write.clone();
        let (answer, answered) = oneshot::channel();
        self.shutdown.spawn(async move {
            // Nobody may be listening any more; the transaction is over all the same.
            let _ = answer.send(transact(&connection, work).await);
        });
        answered.await.unwrap_or(Err(Error::Stopped))
    }
}

async fn transact<T, F>(connection: &DatabaseConnection, work: F) -> Result<T, Error>
where
    F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, Error>>,
{
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = connection.begin_with_options(options).await?;
    match work(&transaction).await {
        Ok(done) => {
            transaction.commit().await?;
            Ok(done)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use binnacle_test_support::{Postgres, scratch};

    use super::*;
    use crate::operations::Operations;

    /// A receipt, as version 4 of the schema has it.
    const BEFORE: &str = "INSERT INTO receipt (operation_id, tenant_id, resource_type, resource_id, operation_type, \
         succeeded, error, detail, finalized_at) SELECT $1, $2, 'application', $3, $4, TRUE, '', '', $5";

    async fn check(url: DatabaseUrl) {
        let options = database::Options::default();
        let database = Database::open(&url, SCHEMA, options).await.unwrap();
        let (before, _) = MIGRATIONS.split_at(4);
        database.migrate(SCHEMA, before).await.unwrap();
        let (tenant, deleted, updated) =
            (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        for (resource, operation_type) in [(deleted, "Delete"), (updated, "Update")] {
            macro_rules! insert {
                ($on:expr) => {
                    sqlx::query(BEFORE)
                        .bind(resource)
                        .bind(tenant)
                        .bind(resource)
                        .bind(operation_type)
                        .bind(binnacle_boot::clock::now())
                        .execute($on)
                        .await
                        .map(drop)
                };
            }
            let inserted = match &database {
                Database::Sqlite(sqlite) => insert!(&sqlite.write),
                Database::Postgres(pool) => insert!(pool),
            };
            inserted.unwrap();
        }
        database.close().await;
        drop(database);

        let shutdown = Shutdown::new();
        let registry = Registry::open(&url, options, &shutdown).await.unwrap();
        let (operations, _queue) = Operations::start(registry.database().clone(), &shutdown);
        for id in [deleted, updated] {
            let receipt = operations.receipt(id).await.unwrap().unwrap();
            assert_eq!((receipt.operation.0, receipt.resource), (id, id));
        }
        let deletion = operations.deletion(tenant, deleted).await.unwrap();
        assert_eq!(deletion.map(|receipt| receipt.operation.0), Some(deleted));
        assert_eq!(operations.deletion(tenant, updated).await.unwrap(), None);
    }

    #[tokio::test]
    async fn on_sqlite_the_receipts_of_an_earlier_version_are_kept() {
        let scratch = scratch();
        check(DatabaseUrl::Sqlite(scratch.path().to_owned())).await;
    }

    #[tokio::test]
    async fn on_postgres_the_receipts_of_an_earlier_version_are_kept() {
        check(Postgres::shared().create_database().parse().unwrap()).await;
    }
}
