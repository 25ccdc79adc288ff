//! Reading webhooks by the positions of their columns.

use sea_orm::Iterable as _;
use sea_orm::entity::prelude::*;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::PgRecordDecoder;
use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Postgres, Type};

use super::{Column, Model};
use crate::registry::application::row::Timestamp;

/// The columns of a webhook in order, each said by `name`.
fn columns(name: impl Fn(&str) -> String) -> String {
    let columns: Vec<_> = Column::iter().map(|column| name(column.as_str())).collect();
    columns.join(", ")
}

/// The webhooks whose `owner`, a column, is the statement's argument.
pub(crate) fn select(owner: &str) -> String {
    let columns = columns(str::to_owned);
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
        created_at: row.get::<_, Timestamp>(Column::CreatedAt as usize)?.0,
    })
}

/// On PostgreSQL, an array with a [`Record`] for each webhook that `condition` holds of.
pub(crate) fn records(condition: &str) -> String {
    let columns = columns(|column| format!("w.{column}"));
    format!("ARRAY(SELECT ROW({columns}) FROM webhook w WHERE w.{condition})")
}

/// A webhook as one value.
pub(crate) struct Record(pub(crate) Model);

impl Type<Postgres> for Record {
    fn type_info() -> PgTypeInfo {
        // Of any record.
        <(i32,)>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for Record {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let mut fields = PgRecordDecoder::new(value)?;
        // In the order of the columns.
        Ok(Self(Model {
            id: fields.try_decode()?,
            application_id: fields.try_decode()?,
            application_template_id: fields.try_decode()?,
            kind: fields.try_decode()?,
            mode: fields.try_decode()?,
            correlation_id_key: fields.try_decode()?,
            retry_interval: fields.try_decode()?,
            timeout: fields.try_decode()?,
            url: fields.try_decode()?,
            url_template: fields.try_decode()?,
            input_template: fields.try_decode()?,
            header_template: fields.try_decode()?,
            output_template: fields.try_decode()?,
            status_template: fields.try_decode()?,
            created_at: fields.try_decode()?,
        }))
    }
}
