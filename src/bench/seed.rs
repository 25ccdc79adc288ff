//! Applications with a webhook each, put into the registry's tables at once.

use anyhow::Context as _;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, SqliteConnection};
use uuid::Uuid;

use super::external::Behaviour;

/// What seeded ids start with.
pub(super) const APPLICATION: &str = "01980000-0000-7000-8000-";
const WEBHOOK: &str = "01980000-0000-7000-9000-";
const APPLICATIONS_FROM: u128 = 0x0198_0000_0000_7000_8000_0000_0000_0000;
/// Rows per statement.
const CHUNK: u64 = 50_000;

/// The id of application `number`.
pub(super) fn application(number: u64) -> Uuid {
    Uuid::from_u128(APPLICATIONS_FROM | u128::from(number))
}

/// Applications that are alike.
pub(super) struct Group {
    /// External id of the tenant; made when it is missing.
    pub(super) tenant: Uuid,
    /// What the webhook's URL starts with.
    pub(super) base: String,
    pub(super) behaviour: Behaviour,
    /// Seconds between tries.
    pub(super) retry_interval: u32,
}

/// What is seeded: applications 0 to `count`, one of each group in turn.
pub(super) struct Seeds {
    pub(super) count: u64,
    pub(super) groups: Vec<Group>,
    /// Labels per application.
    pub(super) labels: u64,
}

/// A connection to the registry's tables.
pub(super) enum Writer<'a> {
    Sqlite(&'a mut SqliteConnection),
    Postgres(&'a mut PgConnection),
}

/// A webhook as clients write it.
pub(super) fn webhook_input() -> Value {
    json!({
        "type": "UNREGISTER_APPLICATION",
        "mode": "SYNC",
        "urlTemplate": url_template("http://127.0.0.1:9"),
        "inputTemplate": INPUT,
        "headerTemplate": HEADERS,
        "outputTemplate": OUTPUT,
    })
}

const INPUT: &str = r#"{"application": "{{.Application.ID}}", "name": "{{.Application.Name}}", "tenant": "{{.TenantID}}", "reason": "measured by a benchmark"}"#;
const HEADERS: &str = r#"{"Content-Type": ["application/json"]}"#;
const OUTPUT: &str = r#"{"success_status_code": 200, "error": "{{.Body.error}}"}"#;
const ASYNC_OUTPUT: &str = r#"{"location": "{{.Headers.Location}}", "success_status_code": 202, "error": "{{.Body.error}}"}"#;
const STATUS: &str = r#"{"status": "{{.Body.status}}", "success_status_code": 200, "success_status_identifier": "DONE", "in_progress_status_identifier": "BUSY", "failed_status_identifier": "FAILED", "error": "{{.Body.error}}"}"#;

fn url_template(base: &str) -> String {
    json!({"method": "POST", "path": format!("{base}/{{{{.Application.ID}}}}")}).to_string()
}

/// A range of numbers `i` in a statement.
pub(super) struct Series {
    pub(super) postgres: bool,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) step: u64,
}

impl Series {
    pub(super) fn sql(&self) -> String {
        let Self { from, to, step, .. } = self;
        if self.postgres {
            return format!("generate_series({from}::bigint, {}, {step}) AS i", to - 1);
        }
        format!(
            "(WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + {step} FROM n \
             WHERE i + {step} < {to}) SELECT i FROM n)"
        )
    }

    /// An expression for the id with this beginning and this number.
    pub(super) fn id(&self, prefix: &str, number: &str) -> String {
        if self.postgres {
            format!("('{prefix}' || lpad(to_hex({number}), 12, '0'))::uuid")
        } else {
            let prefix = prefix.replace('-', "");
            format!("unhex('{prefix}' || printf('%012x', {number}))")
        }
    }

    fn now(&self) -> &'static str {
        if self.postgres {
            "now()"
        } else {
            "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')"
        }
    }

    fn table(&self, name: &str) -> String {
        let schema = if self.postgres { "director." } else { "" };
        format!("{schema}{name}")
    }
}

impl Seeds {
    /// Writes everything, and tells the database how much there is.
    pub(super) async fn write(&self, writer: &mut Writer<'_>) -> anyhow::Result<()> {
        let groups = u64::try_from(self.groups.len())?.max(1);
        for (number, group) in (0_u64..).zip(&self.groups) {
            let tenant = writer.tenant(group.tenant).await?;
            let mut from = number;
            while from < self.count {
                let series = Series {
                    postgres: matches!(writer, Writer::Postgres(_)),
                    from,
                    to: self.count.min(from + CHUNK * groups),
                    step: groups,
                };
                self.write_chunk(writer, (tenant, group), &series).await?;
                from += CHUNK * groups;
            }
        }
        writer.settle().await
    }

    async fn write_chunk(
        &self,
        writer: &mut Writer<'_>,
        (tenant, group): (Uuid, &Group),
        series: &Series,
    ) -> anyhow::Result<()> {
        let (application, webhook) = (series.id(APPLICATION, "i"), series.id(WEBHOOK, "i"));
        let (now, rows) = (series.now(), series.sql());
        let applications = format!(
            "INSERT INTO {} (id, tenant_id, name, normalised_name, description, ready, created_at, \
             status_condition, status_timestamp) SELECT {application}, $1, 'bench-' || i, \
             'mp-bench-' || i, 'seeded by a benchmark', TRUE, {now}, 'INITIAL', {now} FROM {rows}",
            series.table("application")
        );
        writer.execute(applications, &[Bind::Id(tenant)]).await?;
        let is_async = matches!(group.behaviour, Behaviour::Polled(_));
        let (mode, output) = if is_async {
            ("ASYNC", ASYNC_OUTPUT)
        } else {
            ("SYNC", OUTPUT)
        };
        let status = is_async.then_some(STATUS);
        let webhooks = format!(
            "INSERT INTO {} (id, application_id, type, mode, retry_interval, timeout, url_template, \
             input_template, header_template, output_template, status_template, created_at) \
             SELECT {webhook}, {application}, 'UNREGISTER_APPLICATION', $1, {}, 86400, $2, $3, $4, \
             $5, $6, {now} FROM {rows}",
            series.table("webhook"),
            group.retry_interval
        );
        let url = url_template(&group.base);
        let texts = [
            Some(mode),
            Some(&url),
            Some(INPUT),
            Some(HEADERS),
            Some(output),
            status,
        ];
        let binds = texts.map(|text| Bind::Text(text.map(str::to_owned)));
        writer.execute(webhooks, &binds).await?;
        for label in 0..self.labels {
            let id = series.id(&format!("01980000-0000-7000-a{label:03x}-"), "i");
            let labels = format!(
                "INSERT INTO {} (id, application_id, key, value) SELECT {id}, {application}, \
                 'bench-{label}', {} FROM {rows}",
                series.table("label"),
                if series.postgres {
                    "'[\"a\", \"b\"]'::jsonb"
                } else {
                    "'[\"a\",\"b\"]'"
                }
            );
            writer.execute(labels, &[]).await?;
        }
        Ok(())
    }
}

/// A value of a statement.
pub(super) enum Bind {
    Id(Uuid),
    Text(Option<String>),
}

impl Writer<'_> {
    pub(super) async fn execute(&mut self, sql: String, binds: &[Bind]) -> anyhow::Result<()> {
        macro_rules! run {
            ($connection:expr) => {{
                let mut query = sqlx::query(AssertSqlSafe(sql));
                for bind in binds {
                    query = match bind {
                        Bind::Id(id) => query.bind(*id),
                        Bind::Text(text) => query.bind(text.clone()),
                    };
                }
                query.execute(&mut **$connection).await.map(drop)
            }};
        }
        match self {
            Self::Sqlite(connection) => run!(connection),
            Self::Postgres(connection) => run!(connection),
        }
        .context("cannot seed the registry")
    }

    /// Our id of the tenant, which is made when it is missing.
    async fn tenant(&mut self, external: Uuid) -> anyhow::Result<Uuid> {
        let schema = match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => "director.",
        };
        let name = external.to_string();
        let insert = format!(
            "INSERT INTO {schema}tenant (id, external_id, name, type, provider) VALUES \
             ($1, $2, $2, 'account', 'bench') ON CONFLICT DO NOTHING"
        );
        let binds = [Bind::Id(external), Bind::Text(Some(name.clone()))];
        self.execute(insert, &binds).await?;
        let select = AssertSqlSafe(format!(
            "SELECT id FROM {schema}tenant WHERE external_id = $1"
        ));
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_scalar(select).bind(name);
                query.fetch_one(&mut **connection).await
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_scalar(select).bind(name);
                query.fetch_one(&mut **connection).await
            }
        }
        .context("cannot find the tenant")
    }

    /// Leaves the tables as they are after a quiet night.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        match self {
            // No ANALYZE: nobody else runs it on the files of a data directory either.
            Self::Sqlite(_) => self.empty_log().await,
            Self::Postgres(connection) => {
                let analyze = sqlx::query("VACUUM ANALYZE");
                let analyze = analyze.execute(&mut **connection).await.map(drop);
                // Not everybody may; the first minute is a little noisier then.
                let _ = sqlx::query("CHECKPOINT").execute(&mut **connection).await;
                analyze.context("cannot settle the database")
            }
        }
    }

    /// Has SQLite's log begin again, which would grow as large as the file. PostgreSQL sees to its own.
    pub(super) async fn empty_log(&mut self) -> anyhow::Result<()> {
        let Self::Sqlite(connection) = self else {
            return Ok(());
        };
        let empty = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut **connection);
        empty.await.map(drop).context("cannot empty the log")
    }
}
