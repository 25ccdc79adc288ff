//! Applications: the systems that a tenant runs.

mod change;
mod list;
mod many;
pub(crate) mod row;

use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, ExprTrait as _, QueryOrder as _, QuerySelect as _};

use serde::Serialize;

use super::Error;

pub(crate) use change::some;
pub use change::{Change, Draft, NewApplication};
pub use list::Listing;
pub(crate) use many::{Registrations, Removals};

/// What errors call an application.
pub const OBJECT: &str = "application";

/// Applications that are labelled at once when their template changes its name.
const BATCH: u64 = 500;

/// An application.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
#[sea_orm(table_name = "application")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub name: String,
    /// What is unique in the tenant: see [`normalised`].
    pub normalised_name: String,
    pub system_number: Option<String>,
    pub local_tenant_id: Option<String>,
    pub base_url: Option<String>,
    pub provider_name: Option<String>,
    pub description: Option<String>,
    pub integration_system_id: Option<Uuid>,
    pub application_template_id: Option<Uuid>,
    pub health_check_url: Option<String>,
    pub application_namespace: Option<String>,
    pub system_status: Option<String>,
    /// False while an operation makes or removes the application.
    pub ready: bool,
    pub created_at: DateTimeUtc,
    pub updated_at: Option<DateTimeUtc>,
    pub deleted_at: Option<DateTimeUtc>,
    /// JSON text as clients see it: what the last operation failed with.
    pub error: Option<String>,
    pub status_condition: String,
    pub status_timestamp: DateTimeUtc,
    /// The operation in progress. Whoever finalizes it clears this.
    pub operation_id: Option<Uuid>,
    /// What the last operation was, as the poll URL spells it; none since a synchronous change.
    pub operation_type: Option<String>,
    /// Bumped by every change of the application and of its webhooks and labels.
    pub revision: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Refuses a change while an operation is in progress.
    pub fn ensure_idle(&self) -> Result<(), Error> {
        let Some(operation_id) = self.operation_id else {
            return Ok(());
        };
        let reason = if self.deleted_at.is_some() {
            "delete operation is in progress"
        } else {
            "another operation is in progress"
        };
        Err(Error::Concurrent {
            reason,
            operation_id: Some(operation_id),
        })
    }
}

/// The name that must be unique in a tenant: lower case, everything but letters and digits of
/// ASCII a dash, after a prefix. A name that is normalised already stays as it is.
pub fn normalised(name: &str) -> String {
    const PREFIX: &str = "mp-";
    if name.starts_with(PREFIX) && dashed(name) == name {
        return name.to_owned();
    }
    dashed(&format!("{PREFIX}{name}"))
}

fn dashed(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.to_lowercase().chars() {
        let c = if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        };
        if c != '-' || !text.ends_with('-') {
            text.push(c);
        }
    }
    text.truncate(text.trim_end_matches('-').len());
    text
}

/// Reads an application to change it: nobody else changes it until the transaction ends.
pub(crate) async fn locked<C: ConnectionTrait>(
    connection: &C,
    tenant: Uuid,
    id: Uuid,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find_by_id(id)
        .filter(Column::TenantId.eq(tenant))
        .lock_exclusive()
        .one(connection)
        .await?)
}

/// Says that something that operations read has changed.
pub(crate) async fn bump<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<(), Error> {
    Entity::update_many()
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .filter(Column::Id.eq(id))
        .exec(connection)
        .await?;
    Ok(())
}

/// Some of the applications of a template, behind `after`.
pub(crate) async fn ids_of_template<C: ConnectionTrait>(
    connection: &C,
    template: Uuid,
    after: Uuid,
) -> Result<Vec<Uuid>, Error> {
    Ok(Entity::find()
        .filter(Column::ApplicationTemplateId.eq(template))
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(BATCH)
        .select_only()
        .column(Column::Id)
        .into_tuple()
        .all(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_normalised_to_lower_case_and_single_dashes() {
        for (name, expected) in [
            ("Everything App 1", "mp-everything-app-1"),
            ("a_b.c d/e(f)&g", "mp-a-b-c-d-e-f-g"),
            ("--x--", "mp-x"),
            ("mp-x", "mp-x"),
            ("mp--x", "mp-mp-x"),
            ("üüü", "mp"),
            ("!!!", "mp"),
        ] {
            assert_eq!(normalised(name), expected, "{name}");
        }
    }
}
