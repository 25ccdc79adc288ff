//! Reading applications by the positions of their columns: by name, and with the library's error for every null,
//! it takes several times as long, and pages have many.

use std::convert::identity;

use chrono::DateTime;
use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use sea_orm::entity::prelude::*;
use sea_orm::{DbErr, Iterable as _, QueryResult, RuntimeErr};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{Column, Model};

/// A time as we write it to SQLite. The library tries formats, which takes several times as long.
pub(crate) struct Timestamp(pub(crate) DateTimeUtc);

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match DateTime::parse_from_rfc3339(value.as_str()?) {
            Ok(time) => Ok(Self(time.to_utc())),
            Err(_) => DateTimeUtc::column_result(value).map(Self),
        }
    }
}

/// The application of a row that begins with [`columns`], of either of the libraries that read rows; `time`: from how
/// it reads times.
macro_rules! model {
    ($row:ident.$get:ident, $time:expr) => {
        Ok(Model {
            id: $row.$get(Column::Id as usize)?,
            tenant_id: $row.$get(Column::TenantId as usize)?,
            name: $row.$get(Column::Name as usize)?,
            normalised_name: $row.$get(Column::NormalisedName as usize)?,
            system_number: $row.$get(Column::SystemNumber as usize)?,
            local_tenant_id: $row.$get(Column::LocalTenantId as usize)?,
            base_url: $row.$get(Column::BaseUrl as usize)?,
            provider_name: $row.$get(Column::ProviderName as usize)?,
            description: $row.$get(Column::Description as usize)?,
            integration_system_id: $row.$get(Column::IntegrationSystemId as usize)?,
            application_template_id: $row.$get(Column::ApplicationTemplateId as usize)?,
            health_check_url: $row.$get(Column::HealthCheckUrl as usize)?,
            application_namespace: $row.$get(Column::ApplicationNamespace as usize)?,
            system_status: $row.$get(Column::SystemStatus as usize)?,
            ready: $row.$get(Column::Ready as usize)?,
            created_at: $time($row.$get(Column::CreatedAt as usize)?),
            updated_at: Option::map($row.$get(Column::UpdatedAt as usize)?, $time),
            deleted_at: Option::map($row.$get(Column::DeletedAt as usize)?, $time),
            error: $row.$get(Column::Error as usize)?,
            status_condition: $row.$get(Column::StatusCondition as usize)?,
            status_timestamp: $time($row.$get(Column::StatusTimestamp as usize)?),
            operation_id: $row.$get(Column::OperationId as usize)?,
            operation_type: $row.$get(Column::OperationType as usize)?,
            revision: $row.$get(Column::Revision as usize)?,
        })
    };
}

/// How many columns an application has.
pub(crate) const COLUMNS: usize = Column::Revision as usize + 1;

/// The columns of an application as a statement must have them first, in order.
pub(crate) fn columns() -> String {
    let columns = Column::iter().map(|column| format!("application.{}", column.as_str()));
    columns.collect::<Vec<_>>().join(", ")
}

/// The application of a row that begins with [`columns`].
pub(crate) fn read(row: &QueryResult) -> Result<Model, DbErr> {
    let read = match (row.try_as_sqlite_row(), row.try_as_pg_row()) {
        (Some(row), _) => decode(row),
        (_, Some(row)) => decode(row),
        _ => Err(sqlx::Error::RowNotFound),
    };
    read.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
}

fn decode<R>(row: &R) -> Result<Model, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    Uuid: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    DateTimeUtc: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    bool: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    model!(row.try_get, identity)
}

/// The application of a row of SQLite that begins with [`columns`].
pub(crate) fn read_sqlite(row: &rusqlite::Row<'_>) -> rusqlite::Result<Model> {
    model!(row.get, |Timestamp(time)| time)
}
