//! Reads of single things, all that wait in one round trip: its cost is shared as that of a commit is.

pub(crate) mod sqlite;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use binnacle_boot::batch;
use binnacle_boot::database::{self, Database};
use sea_orm::{DatabaseBackend, DbErr, FromQueryResult, QueryResult};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::held::Source;
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

/// What starting an operation wants to know.
pub(super) const TARGET: With = With {
    webhooks: true,
    labels: false,
};

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
    /// Shared by those who have asked for the same one.
    Application(Option<Arc<Row>>),
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
pub(crate) enum Failure {
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
pub(super) struct Reads(Source);

impl Reads {
    pub(super) fn new(database: Database) -> Self {
        Self(Source::reading(database))
    }
}

impl batch::Commit for Reads {
    type Item = Read;
    type Answer = Found;
    type Error = Failure;

    async fn commit(&mut self, reads: &[Read]) -> Result<Vec<Found>, Failure> {
        match &mut self.0 {
            Source::Sqlite(sqlite) => sqlite.look(|connection| {
                let rows = sqlite::read(connection, &Wanted::new(reads));
                Ok(rows.map_err(database::failure)?.answer(reads))
            }),
            Source::Postgres(held) => {
                let mut connection = held.take().await?;
                let rows = Wanted::new(reads).read_postgres(&mut connection).await?;
                held.keep(connection);
                Ok(rows.answer(reads))
            }
        }
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
    fn new(reads: &'r [Read]) -> Self {
        let mut wanted = Self::default();
        for read in reads {
            match read {
                Read::Tenant(external) => drop(wanted.tenants.insert(external)),
                Read::Application(id, with) => {
                    wanted.applications.insert(*id);
                    wanted.with = wanted.with.or(*with);
                }
            }
        }
        wanted
    }

    async fn read_postgres(&self, connection: &mut PgConnection) -> Result<Rows, Failure> {
        const TENANTS: &str = "SELECT * FROM tenant WHERE external_id = ANY ($1)";
        let mut rows = Rows::default();
        if !self.tenants.is_empty() {
            let tenants: Vec<&str> = self.tenants.iter().copied().collect();
            let query = sqlx::query(TENANTS).bind(tenants);
            for row in query.fetch_all(&mut *connection).await? {
                let tenant = tenant::Model::from_query_result(&row.into(), "")?;
                rows.tenants.insert(tenant.external_id.clone(), tenant);
            }
        }
        if !self.applications.is_empty() {
            for row in read_postgres(connection, &self.applications, self.with).await? {
                rows.add(row);
            }
        }
        Ok(rows)
    }
}

/// Applications by id, whosever they are, with all that starting an operation wants to know.
pub(crate) async fn targets(
    connection: &mut PgConnection,
    ids: &HashSet<Uuid>,
) -> Result<HashMap<Uuid, Target>, Failure> {
    let rows = read_postgres(connection, ids, TARGET).await?;
    let target = |row: Row| (row.whole.application.id, row.into());
    Ok(rows.into_iter().map(target).collect())
}

async fn read_postgres(
    connection: &mut PgConnection,
    ids: &HashSet<Uuid>,
    with: With,
) -> Result<Vec<Row>, Failure> {
    let sql = AssertSqlSafe(statement(with));
    let ids: Vec<Uuid> = ids.iter().copied().collect();
    let rows = sqlx::query(sql).bind(ids).fetch_all(connection).await?;
    let row = |row| {
        let row = QueryResult::from(row);
        Ok(Row {
            template_revision: row.try_get("", TEMPLATE_REVISION)?,
            whole: with.read(&row)?,
        })
    };
    rows.into_iter().map(row).collect()
}

const TEMPLATE_REVISION: &str = "template_revision";

/// Applications by id.
fn statement(with: With) -> String {
    let mut columns = application::row::columns();
    for (expression, name) in with.columns(DatabaseBackend::Postgres, Owner::Application) {
        columns = format!("{columns}, {expression} AS {name}");
    }
    // OFFSET 0 keeps each look at a key what it is: planned while the table was small, a list would be looked up in a
    // whole index.
    format!(
        "SELECT {columns}, t.revision AS {TEMPLATE_REVISION} FROM unnest($1) AS i (id) \
         CROSS JOIN LATERAL (SELECT * FROM application AS a WHERE a.id = i.id OFFSET 0) AS application \
         LEFT JOIN application_template t ON t.id = application.application_template_id"
    )
}

/// What a batch has found.
#[derive(Default)]
struct Rows {
    tenants: HashMap<String, tenant::Model>,
    applications: HashMap<Uuid, Arc<Row>>,
}

impl Rows {
    fn add(&mut self, row: Row) {
        let id = row.whole.application.id;
        self.applications.insert(id, Arc::new(row));
    }

    fn answer(&self, reads: &[Read]) -> Vec<Found> {
        let answer = |read: &Read| match read {
            Read::Tenant(external) => Found::Tenant(self.tenants.get(external).cloned()),
            Read::Application(id, _) => Found::Application(self.applications.get(id).cloned()),
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
        let Source::Postgres(mut held) = Source::reading(registry.unwrap().database().clone())
        else {
            unreachable!("the database is PostgreSQL");
        };
        let mut connection = held.take().await.unwrap();
        fill(&mut connection, 2).await;
        let with = With {
            webhooks: true,
            labels: true,
        };
        let statement = statement(with);
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
