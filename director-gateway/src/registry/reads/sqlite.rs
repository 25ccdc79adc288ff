//! A batch on SQLite: one thing after the other, on the thread that reads.

use std::sync::LazyLock;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Statement};
use uuid::Uuid;

use super::{Row, Rows, TARGET, Target, Wanted};
use crate::registry::application;
use crate::registry::label::Labels;
use crate::registry::tenant;
use crate::registry::webhook;
use crate::registry::whole::{Webhooks, Whole, With};

const TENANT: &str =
    "SELECT id, external_id, name, type, provider FROM tenant WHERE external_id = ?1";
const LABELS: &str = "SELECT key, value FROM label WHERE application_id = ?1";

static APPLICATION: LazyLock<String> = LazyLock::new(|| {
    let columns = application::row::columns();
    format!(
        "SELECT {columns}, t.revision FROM application \
         LEFT JOIN application_template AS t ON t.id = application.application_template_id \
         WHERE application.id = ?1"
    )
});
static OWN_WEBHOOKS: LazyLock<String> = LazyLock::new(|| webhook::row::select("application_id"));
static TEMPLATE_WEBHOOKS: LazyLock<String> =
    LazyLock::new(|| webhook::row::select("application_template_id"));

pub(super) fn read(connection: &Connection, wanted: &Wanted<'_>) -> rusqlite::Result<Rows> {
    // So that what belongs together is of one moment.
    let transaction = connection.unchecked_transaction()?;
    let mut rows = Rows::default();
    if !wanted.tenants.is_empty() {
        let mut tenant = transaction.prepare_cached(TENANT)?;
        for external in &wanted.tenants {
            let found = tenant.query_row((external,), read_tenant).optional()?;
            if let Some(found) = found {
                rows.tenants.insert(found.external_id.clone(), found);
            }
        }
    }
    if !wanted.applications.is_empty() {
        let mut statements = Statements::new(&transaction)?;
        for id in &wanted.applications {
            if let Some(row) = statements.read(*id, wanted.with)? {
                rows.add(row);
            }
        }
    }
    Ok(rows)
}

fn read_tenant(row: &rusqlite::Row<'_>) -> rusqlite::Result<tenant::Model> {
    Ok(tenant::Model {
        id: row.get(0)?,
        external_id: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        provider: row.get(4)?,
    })
}

/// What reads an application.
pub(crate) struct Statements<'c> {
    application: rusqlite::CachedStatement<'c>,
    own_webhooks: rusqlite::CachedStatement<'c>,
    template_webhooks: rusqlite::CachedStatement<'c>,
    labels: rusqlite::CachedStatement<'c>,
}

impl<'c> Statements<'c> {
    pub(crate) fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            application: connection.prepare_cached(&APPLICATION)?,
            own_webhooks: connection.prepare_cached(&OWN_WEBHOOKS)?,
            template_webhooks: connection.prepare_cached(&TEMPLATE_WEBHOOKS)?,
            labels: connection.prepare_cached(LABELS)?,
        })
    }

    /// An application, whosever it is, with all that starting an operation wants to know.
    pub(crate) fn target(&mut self, id: Uuid) -> rusqlite::Result<Option<Target>> {
        Ok(self.read(id, TARGET)?.map(Target::from))
    }

    fn read(&mut self, id: Uuid, with: With) -> rusqlite::Result<Option<Row>> {
        let found = self.application.query_row((id.as_bytes(),), |row| {
            let application = application::row::read_sqlite(row)?;
            Ok((application, row.get(application::row::COLUMNS)?))
        });
        let Some((application, template_revision)) = found.optional()? else {
            return Ok(None);
        };
        let template = application.application_template_id;
        let mut whole = Whole {
            application,
            webhooks: None,
            labels: None,
        };
        if with.webhooks {
            let template = template.map(|template| webhooks(&mut self.template_webhooks, template));
            whole.webhooks = Some(Webhooks {
                own: webhooks(&mut self.own_webhooks, id)?,
                template: template.transpose()?.unwrap_or_default(),
            });
        }
        if with.labels {
            whole.labels = Some(labels(&mut self.labels, id)?);
        }
        Ok(Some(Row {
            whole,
            template_revision,
        }))
    }
}

fn webhooks(statement: &mut Statement<'_>, owner: Uuid) -> rusqlite::Result<Vec<webhook::Model>> {
    let rows = statement.query_map((owner.as_bytes(),), webhook::row::read_sqlite)?;
    rows.collect()
}

fn labels(statement: &mut Statement<'_>, owner: Uuid) -> rusqlite::Result<Labels> {
    let rows = statement.query_map((owner.as_bytes(),), |row| {
        let value = serde_json::from_str(row.get_ref(1)?.as_str()?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(1, Type::Text, Box::new(error))
        })?;
        Ok((row.get(0)?, value))
    })?;
    rows.collect()
}

#[cfg(test)]
mod tests {
    use binnacle_boot::Shutdown;
    use binnacle_boot::database::{DatabaseUrl, Options};
    use binnacle_test_support::scratch;
    use sqlx::{AssertSqlSafe, Row as _};

    use super::*;
    use crate::registry::Registry;

    #[tokio::test]
    async fn on_sqlite_single_things_are_found_by_an_index_in_empty_tables_and_in_full_ones() {
        let scratch = scratch();
        let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
        let shutdown = Shutdown::new();
        let registry = Registry::open(&url, Options::default(), &shutdown).await;
        let database = registry.unwrap().database().clone();
        let pool = database.sqlite().unwrap();
        let fill = "INSERT INTO tenant VALUES (zeroblob(16), 't', 't', 'account', 'p');
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 5000)
             INSERT INTO application (id, tenant_id, name, normalised_name, ready, created_at, status_condition,
                status_timestamp)
             SELECT randomblob(16), zeroblob(16), n, n, 1, '', 'INITIAL', '' FROM n;
             INSERT INTO application_template (id, name, region, application_input, placeholders, access_level,
                created_at, updated_at)
             SELECT id, name, '', '', '', '', '', '' FROM application LIMIT 100;
             INSERT INTO webhook (id, application_template_id, type, created_at)
             SELECT randomblob(16), id, 'UNREGISTER_APPLICATION', '' FROM application_template;
             INSERT INTO webhook (id, application_id, type, created_at)
             SELECT id, id, 'UNREGISTER_APPLICATION', '' FROM application;
             INSERT INTO label (id, application_id, key, value) SELECT id, id, 'k', '1' FROM application;
             ANALYZE";
        for filling in ["", fill] {
            sqlx::raw_sql(filling).execute(pool).await.unwrap();
            for statement in [
                TENANT,
                LABELS,
                &APPLICATION,
                &OWN_WEBHOOKS,
                &TEMPLATE_WEBHOOKS,
            ] {
                // The planner looks at what is asked for, and finds a null, which most webhooks have, everywhere.
                let statement = statement.replace("?1", "x'00'");
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
                for row in sqlx::raw_sql(explain).fetch_all(pool).await.unwrap() {
                    let step: String = row.get("detail");
                    assert!(step.starts_with("SEARCH "), "{statement}: {step}");
                }
            }
        }
    }
}
