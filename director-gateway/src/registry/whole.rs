//! An application with what belongs to it, read in one statement: its webhooks and labels come in the
//! application's own row, as JSON that the database makes. So a row costs one application to decode,
//! however much it has, and everything is of one moment.

use sea_orm::{DatabaseBackend, DbErr, FromQueryResult as _, QueryResult, TryGetable};
use serde::de::DeserializeOwned;

use super::label::Labels;
use super::{application, webhook};

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

/// The column of a row that has the application's own webhooks.
const OWN: &str = "own_webhooks";
/// The column of a row that has those of its template.
const OF_TEMPLATE: &str = "template_webhooks";
const LABELS: &str = "labels";

impl With {
    /// The columns that a statement has beside those of `application`, and their names.
    pub(super) fn columns(
        self,
        backend: DatabaseBackend,
    ) -> impl Iterator<Item = (String, &'static str)> {
        let own = webhooks(backend, "application_id = application.id");
        let of_template = webhooks(
            backend,
            "application_template_id = application.application_template_id",
        );
        let labels = labels(backend, "application_id = application.id");
        let webhooks = [(own, OWN), (of_template, OF_TEMPLATE)];
        let webhooks = webhooks.into_iter().filter(move |_| self.webhooks);
        webhooks.chain(self.labels.then_some((labels, LABELS)))
    }

    /// Whether what is read with `self` has all that is wanted with `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            webhooks: self.webhooks || other.webhooks,
            labels: self.labels || other.labels,
        }
    }

    /// Reads a row of such a statement.
    pub(super) fn read(self, row: &QueryResult) -> Result<Whole, DbErr> {
        let webhooks = || -> Result<_, DbErr> {
            Ok(Webhooks {
                own: from_json(row, OWN)?,
                template: from_json(row, OF_TEMPLATE)?,
            })
        };
        Ok(Whole {
            application: application::Model::from_query_result(row, "")?,
            webhooks: self.webhooks.then(webhooks).transpose()?,
            labels: self.labels.then(|| from_json(row, LABELS)).transpose()?,
        })
    }
}

/// A subquery for webhooks as a JSON array; null without any.
pub(super) fn webhooks(backend: DatabaseBackend, condition: &str) -> String {
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
        _ => format!("(SELECT json_agg(w) FROM webhook w WHERE w.{condition})::text"),
    }
}

/// A subquery for labels as a JSON object; null without any.
pub(super) fn labels(backend: DatabaseBackend, condition: &str) -> String {
    match backend {
        DatabaseBackend::Sqlite => format!(
            "(SELECT json_group_object(l.key, json(l.value)) FROM label l WHERE l.{condition})"
        ),
        _ => format!(
            "(SELECT json_object_agg(l.key, l.value) FROM label l WHERE l.{condition})::text"
        ),
    }
}

/// What a column has as JSON text; nothing for null.
pub(super) fn from_json<T: DeserializeOwned + Default>(
    row: &QueryResult,
    column: &str,
) -> Result<T, DbErr> {
    let Some(text) = Option::<String>::try_get(row, "", column)? else {
        return Ok(T::default());
    };
    serde_json::from_str(&text).map_err(|error| DbErr::Json(error.to_string()))
}
