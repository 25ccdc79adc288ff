//! Reads of single things, one statement of each kind for all requests that wait: the cost of a round trip is
//! shared as that of a commit is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use binnacle_boot::batch;
use binnacle_boot::database::Database;
use sea_orm::{DatabaseBackend, DbErr, FromQueryResult, QueryResult};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::held::{Connection, Held};
use super::label::Owner;
use super::whole::{Webhooks, Whole, With};
use super::{Error, application, tenant, webhook};

/// An application as an operation finds it.
#[derive(Clone, Debug)]
pub struct Target {
    pub application: application::Model,
    /// Of the same moment as the webhooks.
    pub template_revision: Option<i64>,
    pub own_webhooks: Vec<webhook::Model>,
    pub template_webhooks: Vec<webhook::Model>,
}

/// Something to read.
pub(super) enum Read {
    /// By external id.
    Tenant(String),
    /// By id, whosever it is.
    Application(Uuid, With),
}

/// What there is of it.
pub(super) enum Found {
    Tenant(Option<tenant::Model>),
    Application(Option<Box<Row>>),
}

/// An application, and the revision of its template.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) whole: Whole,
    template_revision: Option<i64>,
}

impl From<Row> for Target {
    fn from(row: Row) -> Self {
        let Row {
            whole,
            template_revision,
        } = row;
        let Webhooks { own, template } = whole.webhooks.unwrap_or_default();
        Self {
            application: whole.application,
            template_revision,
            own_webhooks: own,
            template_webhooks: template,
        }
    }
}

/// Why a batch was not read.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("a row cannot be read")]
    Row(#[source] Arc<DbErr>),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<DbErr> for Failure {
    fn from(error: DbErr) -> Self {
        Self::Row(Arc::new(error))
    }
}

impl From<batch::Error<Failure>> for Error {
    fn from(error: batch::Error<Failure>) -> Self {
        Self::Failed(Arc::new(error))
    }
}

/// Reads batches.
pub(super) struct Reads(Held);

impl Reads {
    pub(super) fn new(database: Database) -> Self {
        Self(Held::reading(database))
    }
}

impl batch::Commit for Reads {
    type Item = Read;
    type Answer = Found;
    type Error = Failure;

    async fn commit(&mut self, reads: &Arc<[Read]>) -> Result<Vec<Found>, Failure> {
        let mut wanted = Wanted::default();
        for read in reads.iter() {
            wanted.add(read);
        }
        let mut connection = self.0.take().await?;
        let rows = wanted.read(&mut connection).await?;
        self.0.keep(connection);
        Ok(rows.answer(reads))
    }

    fn is_retryable(&self, _: &Failure) -> bool {
        false
    }
}

/// What a batch is about.
#[derive(Default)]
struct Wanted<'r> {
    tenants: HashSet<&'r str>,
    applications: HashSet<Uuid>,
    with: With,
}

impl<'r> Wanted<'r> {
    fn add(&mut self, read: &'r Read) {
        match read {
            Read::Tenant(external) => drop(self.tenants.insert(external)),
            Read::Application(id, with) => {
                self.applications.insert(*id);
                self.with = self.with.or(*with);
            }
        }
    }

    async fn read(&self, connection: &mut Connection) -> Result<Rows, Failure> {
        let mut rows = Rows::default();
        if !self.tenants.is_empty() {
            for row in self.read_tenants(connection).await? {
                let tenant = tenant::Model::from_query_result(&row, "")?;
                rows.tenants.insert(tenant.external_id.clone(), tenant);
            }
        }
        if !self.applications.is_empty() {
            for row in self.read_applications(connection).await? {
                let found = Row {
                    template_revision: row.try_get("", TEMPLATE_REVISION)?,
                    whole: self.with.read(&row)?,
                };
                rows.applications.insert(found.whole.application.id, found);
            }
        }
        Ok(rows)
    }

    async fn read_tenants(&self, connection: &mut Connection) -> Result<Vec<QueryResult>, Failure> {
        const SQLITE: &str =
            "SELECT * FROM tenant WHERE external_id IN (SELECT value FROM json_each(?1))";
        const POSTGRES: &str = "SELECT * FROM tenant WHERE external_id = ANY ($1)";
        let tenants: Vec<&str> = self.tenants.iter().copied().collect();
        Ok(match connection {
            Connection::Sqlite(connection) => {
                let query = sqlx::query(SQLITE).bind(serde_json::json!(tenants).to_string());
                results(query.fetch_all(&mut **connection).await?)
            }
            Connection::Postgres(connection) => {
                let query = sqlx::query(POSTGRES).bind(tenants);
                results(query.fetch_all(&mut **connection).await?)
            }
        })
    }

    async fn read_applications(
        &self,
        connection: &mut Connection,
    ) -> Result<Vec<QueryResult>, Failure> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                let sql = AssertSqlSafe(statement(DatabaseBackend::Sqlite, self.with));
                let query = sqlx::query(sql).bind(hexadecimal(&self.applications));
                results(query.fetch_all(&mut **connection).await?)
            }
            Connection::Postgres(connection) => {
                let sql = AssertSqlSafe(statement(DatabaseBackend::Postgres, self.with));
                let ids: Vec<Uuid> = self.applications.iter().copied().collect();
                let query = sqlx::query(sql).bind(ids);
                results(query.fetch_all(&mut **connection).await?)
            }
        })
    }
}

const TEMPLATE_REVISION: &str = "template_revision";

/// Applications by id.
fn statement(backend: DatabaseBackend, with: With) -> String {
    let mut columns = application::row::columns();
    for (expression, name) in with.columns(backend, Owner::Application) {
        columns = format!("{columns}, {expression} AS {name}");
    }
    // OFFSET 0 keeps each look at a key what it is: planned while the table was small, a list would be looked up in a
    // whole index.
    let (application, condition) = match backend {
        DatabaseBackend::Sqlite => (
            "application",
            "WHERE application.id IN (SELECT unhex(value) FROM json_each(?1))",
        ),
        _ => (
            "unnest($1) AS i (id) \
             CROSS JOIN LATERAL (SELECT * FROM application AS a WHERE a.id = i.id OFFSET 0) AS application",
            "",
        ),
    };
    format!(
        "SELECT {columns}, t.revision AS {TEMPLATE_REVISION} FROM {application} \
         LEFT JOIN application_template t ON t.id = application.application_template_id {condition}"
    )
}

fn results<R>(rows: Vec<R>) -> Vec<QueryResult>
where
    QueryResult: From<R>,
{
    rows.into_iter().map(QueryResult::from).collect()
}

/// A JSON array: SQLite's JSON has no form for bytes.
fn hexadecimal(ids: &HashSet<Uuid>) -> String {
    let ids: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
    serde_json::json!(ids).to_string()
}

/// What a batch has found.
#[derive(Default)]
struct Rows {
    tenants: HashMap<String, tenant::Model>,
    applications: HashMap<Uuid, Row>,
}

impl Rows {
    fn answer(&self, reads: &[Read]) -> Vec<Found> {
        let answer = |read: &Read| match read {
            Read::Tenant(external) => Found::Tenant(self.tenants.get(external).cloned()),
            Read::Application(id, _) => {
                Found::Application(self.applications.get(id).cloned().map(Box::new))
            }
        };
        reads.iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use binnacle_boot::Shutdown;
    use binnacle_boot::database::Options;
    use binnacle_test_support::Postgres;
    use sqlx::{PgConnection, Row as _};

    use super::*;
    use crate::registry::Registry;

    /// Adds applications with a webhook each for numbers up to `count`.
    async fn fill(connection: &mut PgConnection, count: i64) {
        let sql = format!(
            "INSERT INTO tenant VALUES ('{tenant}', 't', 't', 'account', 'p') ON CONFLICT DO NOTHING;
             INSERT INTO application (id, tenant_id, name, normalised_name, ready, created_at, status_condition,
                status_timestamp)
             SELECT lpad(to_hex(n), 32, '0')::uuid, '{tenant}', n, n, true, now(), 'INITIAL', now()
             FROM generate_series(1, {count}) AS n ON CONFLICT DO NOTHING;
             INSERT INTO webhook (id, application_id, type, created_at)
             SELECT a.id, a.id, 'UNREGISTER_APPLICATION', now() FROM application AS a ON CONFLICT DO NOTHING",
            tenant = Uuid::nil()
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(connection)
            .await
            .unwrap();
    }

    /// Pages that the prepared statement looks at for two applications.
    async fn pages(connection: &mut PgConnection) -> i64 {
        let ids = format!("'{{{}, {}}}'", Uuid::from_u128(1), Uuid::from_u128(2));
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE p({ids})");
        let row = sqlx::raw_sql(AssertSqlSafe(explain));
        let row = row.fetch_one(connection).await.unwrap();
        let plan: serde_json::Value =
            serde_json::from_str(row.try_get_unchecked(0).unwrap()).unwrap();
        let plan = &plan[0]["Plan"];
        assert_eq!(plan["Actual Rows"].as_f64(), Some(2.0), "{plan:#}");
        let count = |name: &str| plan[name].as_i64().unwrap();
        count("Shared Hit Blocks") + count("Shared Read Blocks")
    }

    #[tokio::test]
    async fn on_postgres_applications_are_read_by_their_keys_however_many_there_came_to_be() {
        let url = Postgres::shared().create_database().parse().unwrap();
        let shutdown = Shutdown::new();
        let registry = Registry::open(&url, Options::default(), &shutdown).await;
        let mut held = Held::reading(registry.unwrap().database().clone());
        let Connection::Postgres(mut connection) = held.take().await.unwrap() else {
            unreachable!("the database is PostgreSQL");
        };
        fill(&mut connection, 2).await;
        let with = With {
            webhooks: true,
            labels: true,
        };
        let statement = statement(DatabaseBackend::Postgres, with);
        for sql in [
            "VACUUM ANALYZE".to_owned(),
            format!("PREPARE p (uuid[]) AS {statement}"),
        ] {
            let sql = sqlx::raw_sql(AssertSqlSafe(sql));
            sql.execute(&mut *connection).await.unwrap();
        }
        pages(&mut connection).await;
        fill(&mut connection, 20_000).await;
        let looked_at = pages(&mut connection).await;
        assert!(looked_at < 50, "{looked_at} pages");
    }
}
