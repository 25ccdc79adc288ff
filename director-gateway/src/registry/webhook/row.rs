//! Reading webhooks from SQLite by the positions of their columns.

use sea_orm::Iterable as _;
use sea_orm::entity::prelude::*;

use super::{Column, Model};

/// The webhooks whose `owner`, a column, is the statement's argument.
pub(crate) fn select(owner: &str) -> String {
    let columns: Vec<&str> = Column::iter().map(|column| column.as_str()).collect();
    let columns = columns.join(", ");
    format!("SELECT {columns} FROM webhook WHERE {owner} = ?1")
}

/// The webhook of such a row.
pub(crate) fn read_sqlite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Model> {
    Ok(Model {
        id: row.get(Column::Id as usize)?,
        application_id: row.get(Column::ApplicationId as usize)?,
        application_template_id: row.get(Column::ApplicationTemplateId as usize)?,
        kind: row.get(Column::Kind as usize)?,
        mode: row.get(Column::Mode as usize)?,
        correlation_id_key: row.get(Column::CorrelationIdKey as usize)?,
        retry_interval: row.get(Column::RetryInterval as usize)?,
        timeout: row.get(Column::Timeout as usize)?,
        url: row.get(Column::Url as usize)?,
        url_template: row.get(Column::UrlTemplate as usize)?,
        input_template: row.get(Column::InputTemplate as usize)?,
        header_template: row.get(Column::HeaderTemplate as usize)?,
        output_template: row.get(Column::OutputTemplate as usize)?,
        status_template: row.get(Column::StatusTemplate as usize)?,
        created_at: row.get(Column::CreatedAt as usize)?,
    })
}
