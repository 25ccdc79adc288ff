//! Applications and templates with what belongs to them, read in one statement: webhooks and labels come in their
//! owner's own row, as JSON or an array that the database makes. So there is one row for each, however
//! much it has, and everything is of one moment.

use sea_orm::{DatabaseBackend, DbErr, FromQueryResult as _, QueryResult, RuntimeErr, TryGetable};
use serde::de::DeserializeOwned;
use sqlx::Row as _;

use super::label::{Labels, Owner};
use super::{application, template, webhook};

/// What of it is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct With {
    pub webhooks: bool,
    pub labels: bool,
}

/// An application with what of it was wanted.
#[derive(Clone, Debug)]
pub struct Whole {
    pub application: application::Model,
    pub webhooks: Option<Webhooks>,
    pub labels: Option<Labels>,
}

/// The webhooks of an application, in no order.
#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    pub own: Vec<webhook::Model>,
    pub template: Vec<webhook::Model>,
}

/// A template with what of it was wanted.
#[derive(Clone, Debug)]
pub struct WholeTemplate {
    pub template: template::Model,
    pub webhooks: Option<Vec<webhook::Model>>,
    pub labels: Option<Labels>,
}

/// The column of a row that has its own webhooks.
const OWN: &str = "own_webhooks";
/// The column of an application that has those of its template.
const OF_TEMPLATE: &str = "template_webhooks";
const LABELS: &str = "labels";

impl With {
    /// The columns that a statement has beside those of the owner's table, and their names.
    pub(super) fn columns(
        self,
        backend: DatabaseBackend,
        owner: Owner,
    ) -> Vec<(String, &'static str)> {
        let (column, table) = owner.names();
        let condition = format!("{column} = {table}.id");
        let mut columns = Vec::new();
        if self.webhooks {
            columns.push((webhooks(backend, &condition), OWN));
        }
        if self.webhooks && owner == Owner::Application {
            let condition = "application_template_id = application.application_template_id";
            columns.push((webhooks(backend, condition), OF_TEMPLATE));
        }
        if self.labels {
            columns.push((labels(backend, &condition), LABELS));
        }
        columns
    }

    /// What is wanted with either.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            webhooks: self.webhooks || other.webhooks,
            labels: self.labels || other.labels,
        }
    }

    /// Reads a row of such a statement about applications, which has the [columns](application::row::columns)
    /// of the application first.
    pub(super) fn read(self, row: &QueryResult) -> Result<Whole, DbErr> {
        let webhooks = || -> Result<_, DbErr> {
            Ok(Webhooks {
                own: read_webhooks(row, OWN)?,
                template: read_webhooks(row, OF_TEMPLATE)?,
            })
        };
        Ok(Whole {
            application: application::row::read(row)?,
            webhooks: self.webhooks.then(webhooks).transpose()?,
            labels: self.labels.then(|| from_json(row, LABELS)).transpose()?,
        })
    }
}

impl With {
    /// Reads a row of such a statement about templates.
    pub(super) fn read_template(self, row: &QueryResult) -> Result<WholeTemplate, DbErr> {
        Ok(WholeTemplate {
            template: template::Model::from_query_result(row, "")?,
            webhooks: self.webhooks.then(|| read_webhooks(row, OWN)).transpose()?,
            labels: self.labels.then(|| from_json(row, LABELS)).transpose()?,
        })
    }
}

/// A subquery for webhooks: a JSON array, on PostgreSQL an array of records, which costs it less to make.
fn webhooks(backend: DatabaseBackend, condition: &str) -> String {
    match backend {
        DatabaseBackend::Sqlite => format!(
            "(SELECT json_group_array(json_object('id', hex(w.id), \
             'application_id', iif(w.application_id IS NULL, NULL, hex(w.application_id)), \
             'application_template_id', \
             iif(w.application_template_id IS NULL, NULL, hex(w.application_template_id)), \
             'type', w.type, 'mode', w.mode, 'correlation_id_key', w.correlation_id_key, \
             'retry_interval', w.retry_interval, 'timeout', w.timeout, 'url', w.url, \
             'url_template', w.url_template, 'input_template', w.input_template, \
             'header_template', w.header_template, 'output_template', w.output_template, \
             'status_template', w.status_template, 'created_at', w.created_at)) \
             FROM webhook w WHERE w.{condition})"
        ),
        _ => webhook::row::records(condition),
    }
}

/// A subquery for labels as a JSON object, or null without any.
fn labels(backend: DatabaseBackend, condition: &str) -> String {
    match backend {
        DatabaseBackend::Sqlite => format!(
            "(SELECT json_group_object(l.key, json(l.value)) FROM label l WHERE l.{condition})"
        ),
        _ => format!(
            "(SELECT json_object_agg(l.key, l.value) FROM label l WHERE l.{condition})::text"
        ),
    }
}

/// The webhooks in such a column.
fn read_webhooks(row: &QueryResult, column: &str) -> Result<Vec<webhook::Model>, DbErr> {
    let Some(row) = row.try_as_pg_row() else {
        return from_json(row, column);
    };
    let records: Vec<webhook::row::Record> = row
        .try_get_unchecked(column)
        .map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
    let webhooks = records.into_iter();
    Ok(webhooks
        .map(|webhook::row::Record(webhook)| webhook)
        .collect())
}

/// What a column has as JSON text; nothing for null.
fn from_json<T: DeserializeOwned + Default>(row: &QueryResult, column: &str) -> Result<T, DbErr> {
    let Some(text) = Option::<String>::try_get(row, "", column)? else {
        return Ok(T::default());
    };
    serde_json::from_str(&text).map_err(|error| DbErr::Json(error.to_string()))
}
