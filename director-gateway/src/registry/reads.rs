//! The reads that every operation begins with, one statement of each kind for all requests that wait: the cost of a
//! round trip is shared as that of a commit is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use binnacle_boot::batch;
use binnacle_boot::database::Database;
use sea_orm::{DbErr, FromQueryResult, QueryResult};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, SqliteConnection};
use uuid::Uuid;

use super::{Error, application, tenant, webhook};

/// An application as an operation finds it.
#[derive(Clone, Debug)]
pub struct Target {
    pub application: application::Model,
    /// Read before the webhooks, as the application's own is: a change in between makes them stale.
    pub template_revision: Option<i64>,
    pub own_webhooks: Vec<webhook::Model>,
    pub template_webhooks: Vec<webhook::Model>,
}

/// Something to read.
pub(super) enum Read {
    /// By external id.
    Tenant(String),
    /// By id, whosever it is.
    Target(Uuid),
}

/// What there is of it.
pub(super) enum Found {
    Tenant(Option<tenant::Model>),
    Target(Option<Box<Target>>),
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
pub(super) struct Reads {
    database: Database,
    /// A connection of its own to PostgreSQL, given up after an error: one from the pool is looked at first,
    /// which costs a round trip.
    connection: Option<PoolConnection<Postgres>>,
}

impl Reads {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            connection: None,
        }
    }
}

impl batch::Commit for Reads {
    type Item = Read;
    type Answer = Found;
    type Error = Failure;

    async fn commit(&mut self, reads: &[Read]) -> Result<Vec<Found>, Failure> {
        let (mut tenants, mut targets) = (HashSet::new(), HashSet::new());
        for read in reads {
            match read {
                Read::Tenant(external) => drop(tenants.insert(external.as_str())),
                Read::Target(id) => drop(targets.insert(*id)),
            }
        }
        let (tenants, targets) = (Vec::from_iter(tenants), Vec::from_iter(targets));
        let rows = match &self.database {
            Database::Sqlite(sqlite) => {
                let mut connection = sqlite.read.acquire().await?;
                read_sqlite(&mut connection, &tenants, &targets).await?
            }
            Database::Postgres(pool) => {
                let mut connection = match self.connection.take() {
                    Some(connection) => connection,
                    None => pool.acquire().await?,
                };
                let rows = read_postgres(&mut connection, &tenants, &targets).await?;
                self.connection = Some(connection);
                rows
            }
        };
        Ok(rows.answer(reads))
    }

    fn is_retryable(&self, _: &Failure) -> bool {
        false
    }
}

/// What a batch has found.
#[derive(Default)]
struct Rows {
    tenants: HashMap<String, tenant::Model>,
    targets: HashMap<Uuid, Target>,
}

impl Rows {
    fn answer(&self, reads: &[Read]) -> Vec<Found> {
        let answer = |read: &Read| match read {
            Read::Tenant(external) => Found::Tenant(self.tenants.get(external).cloned()),
            Read::Target(id) => Found::Target(self.targets.get(id).cloned().map(Box::new)),
        };
        reads.iter().map(answer).collect()
    }

    fn add_tenants(&mut self, rows: impl Iterator<Item = QueryResult>) -> Result<(), DbErr> {
        for row in rows {
            let tenant = tenant::Model::from_query_result(&row, "")?;
            self.tenants.insert(tenant.external_id.clone(), tenant);
        }
        Ok(())
    }

    fn add_targets(&mut self, rows: impl Iterator<Item = QueryResult>) -> Result<(), DbErr> {
        for row in rows {
            let application = application::Model::from_query_result(&row, "")?;
            let target = Target {
                template_revision: row.try_get("", "template_revision")?,
                own_webhooks: Vec::new(),
                template_webhooks: Vec::new(),
                application,
            };
            self.targets.insert(target.application.id, target);
        }
        Ok(())
    }

    fn templates(&self) -> HashSet<Uuid> {
        let of = |target: &Target| target.application.application_template_id;
        self.targets.values().filter_map(of).collect()
    }

    fn add_webhooks(&mut self, rows: impl Iterator<Item = QueryResult>) -> Result<(), DbErr> {
        let mut of_templates: HashMap<Uuid, Vec<webhook::Model>> = HashMap::new();
        for row in rows {
            let webhook = webhook::Model::from_query_result(&row, "")?;
            match (webhook.application_id, webhook.application_template_id) {
                (Some(id), _) => {
                    if let Some(target) = self.targets.get_mut(&id) {
                        target.own_webhooks.push(webhook);
                    }
                }
                (None, Some(id)) => of_templates.entry(id).or_default().push(webhook),
                (None, None) => {}
            }
        }
        for target in self.targets.values_mut() {
            let template = target.application.application_template_id;
            if let Some(webhooks) = template.and_then(|id| of_templates.get(&id)) {
                target.template_webhooks.clone_from(webhooks);
            }
        }
        Ok(())
    }
}

async fn read_postgres(
    connection: &mut PgConnection,
    tenants: &[&str],
    targets: &[Uuid],
) -> Result<Rows, Failure> {
    const TENANTS: &str = "SELECT * FROM tenant WHERE external_id = ANY ($1)";
    const TARGETS: &str = "SELECT a.*, t.revision AS template_revision FROM application a \
         LEFT JOIN application_template t ON t.id = a.application_template_id WHERE a.id = ANY ($1)";
    const OWN: &str = "SELECT * FROM webhook WHERE application_id = ANY ($1)";
    const OF_TEMPLATES: &str = "SELECT * FROM webhook WHERE application_template_id = ANY ($1)";
    let mut rows = Rows::default();
    if !tenants.is_empty() {
        let found = sqlx::query(TENANTS)
            .bind(tenants)
            .fetch_all(&mut *connection)
            .await?;
        rows.add_tenants(found.into_iter().map(QueryResult::from))?;
    }
    if !targets.is_empty() {
        let found = sqlx::query(TARGETS)
            .bind(targets)
            .fetch_all(&mut *connection)
            .await?;
        rows.add_targets(found.into_iter().map(QueryResult::from))?;
        let found = sqlx::query(OWN)
            .bind(targets)
            .fetch_all(&mut *connection)
            .await?;
        rows.add_webhooks(found.into_iter().map(QueryResult::from))?;
    }
    let templates: Vec<Uuid> = rows.templates().into_iter().collect();
    if !templates.is_empty() {
        let query = sqlx::query(OF_TEMPLATES).bind(templates);
        let found = query.fetch_all(connection).await?;
        rows.add_webhooks(found.into_iter().map(QueryResult::from))?;
    }
    Ok(rows)
}

async fn read_sqlite(
    connection: &mut SqliteConnection,
    tenants: &[&str],
    targets: &[Uuid],
) -> Result<Rows, Failure> {
    const TENANTS: &str =
        "SELECT * FROM tenant WHERE external_id IN (SELECT value FROM json_each(?1))";
    const TARGETS: &str = "SELECT a.*, t.revision AS template_revision FROM application a \
         LEFT JOIN application_template t ON t.id = a.application_template_id \
         WHERE a.id IN (SELECT unhex(value) FROM json_each(?1))";
    // Joined from the list, in this order: most webhooks have no template, which an analysed table takes for a
    // reason to look at all of them.
    const OWN: &str = "SELECT w.* FROM json_each(?1) i \
         CROSS JOIN webhook w ON w.application_id = unhex(i.value)";
    const OF_TEMPLATES: &str = "SELECT w.* FROM json_each(?1) i \
         CROSS JOIN webhook w ON w.application_template_id = unhex(i.value)";
    let mut rows = Rows::default();
    if !tenants.is_empty() {
        let query = sqlx::query(TENANTS).bind(serde_json::json!(tenants).to_string());
        let found = query.fetch_all(&mut *connection).await?;
        rows.add_tenants(found.into_iter().map(QueryResult::from))?;
    }
    if !targets.is_empty() {
        let ids = hexadecimal(targets.iter());
        let found = sqlx::query(TARGETS)
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
        rows.add_targets(found.into_iter().map(QueryResult::from))?;
        let found = sqlx::query(OWN)
            .bind(&ids)
            .fetch_all(&mut *connection)
            .await?;
        rows.add_webhooks(found.into_iter().map(QueryResult::from))?;
    }
    let templates = rows.templates();
    if !templates.is_empty() {
        let query = sqlx::query(OF_TEMPLATES).bind(hexadecimal(templates.iter()));
        let found = query.fetch_all(connection).await?;
        rows.add_webhooks(found.into_iter().map(QueryResult::from))?;
    }
    Ok(rows)
}

/// A JSON array: SQLite's JSON has no form for bytes.
fn hexadecimal<'a>(ids: impl Iterator<Item = &'a Uuid>) -> String {
    let ids: Vec<String> = ids.map(|id| id.simple().to_string()).collect();
    serde_json::json!(ids).to_string()
}
