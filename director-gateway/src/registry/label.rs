//! Labels: a JSON value under a key, on a tenant, an application or a template.

use std::collections::{BTreeMap, HashMap};

use binnacle_boot::ids;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, QueryOrder as _};

use super::{Error, Registry};

/// Labels of one object by key.
pub type Labels = BTreeMap<String, Json>;

/// Characters a key may have.
const MAX_KEY: usize = 256;

/// The table.
pub mod entity {
    use sea_orm::entity::prelude::*;
    use serde::Serialize;

    /// A label; exactly one of the three owners is set.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Serialize)]
    #[sea_orm(table_name = "label")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub tenant_id: Option<Uuid>,
        pub application_id: Option<Uuid>,
        pub application_template_id: Option<Uuid>,
        pub key: String,
        #[sea_orm(column_type = "JsonBinary")]
        pub value: Json,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// What a label is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Tenant,
    Application,
    Template,
}

impl Owner {
    fn column(self) -> entity::Column {
        match self {
            Self::Tenant => entity::Column::TenantId,
            Self::Application => entity::Column::ApplicationId,
            Self::Template => entity::Column::ApplicationTemplateId,
        }
    }

    /// The column of `label` that refers to the owner, and the owner's table.
    pub(crate) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Tenant => ("tenant_id", "tenant"),
            Self::Application => ("application_id", "application"),
            Self::Template => ("application_template_id", "application_template"),
        }
    }

    fn of(self, label: &entity::Model) -> Option<Uuid> {
        match self {
            Self::Tenant => label.tenant_id,
            Self::Application => label.application_id,
            Self::Template => label.application_template_id,
        }
    }

    /// The owner's kind as messages about its labels spell it.
    fn spelled(self) -> &'static str {
        match self {
            Self::Tenant => "Tenant",
            Self::Application => "Application",
            Self::Template => "Application Template",
        }
    }
}

impl Registry {
    /// The labels of many objects at once. An object without labels is not in the answer.
    pub async fn labels_of(
        &self,
        owner: Owner,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Labels>, Error> {
        let rows = entity::Entity::find()
            .filter(owner.column().is_in(ids))
            .order_by_asc(entity::Column::Key)
            .all(self.reader())
            .await?;
        let mut labels: HashMap<Uuid, Labels> = HashMap::new();
        for row in rows {
            if let Some(id) = owner.of(&row) {
                labels.entry(id).or_default().insert(row.key, row.value);
            }
        }
        Ok(labels)
    }
}

/// Sets labels of one object.
pub(crate) async fn set_all<C: ConnectionTrait>(
    connection: &C,
    owner: Owner,
    id: Uuid,
    labels: Labels,
) -> Result<(), Error> {
    let rows = rows(owner, id, labels)?;
    if rows.is_empty() {
        return Ok(());
    }
    let conflict = OnConflict::columns([owner.column(), entity::Column::Key])
        .update_column(entity::Column::Value)
        .to_owned();
    entity::Entity::insert_many(rows.into_iter().map(entity::ActiveModel::from))
        .on_conflict(conflict)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}

/// The rows of labels of one object, if all of them may be.
pub(crate) fn rows(owner: Owner, id: Uuid, labels: Labels) -> Result<Vec<entity::Model>, Error> {
    let rows = labels.into_iter();
    rows.map(|(key, value)| row(owner, id, key, value))
        .collect()
}

fn row(owner: Owner, id: Uuid, key: String, value: Json) -> Result<entity::Model, Error> {
    let label = ids::v7();
    if value.is_null() {
        let kind = owner.spelled();
        return Err(Error::Refused(format!(
            "while upserting multiple Labels: while upserting label with ID: {label} for {kind} \
             with ID: {id}: while creating label entity from model: Value cannot be empty"
        )));
    }
    if key.chars().count() > MAX_KEY {
        return Err(Error::InvalidData(format!(
            "the key of a label must be no more than {MAX_KEY} characters"
        )));
    }
    let of = |kind| (owner == kind).then_some(id);
    Ok(entity::Model {
        id: label,
        tenant_id: of(Owner::Tenant),
        application_id: of(Owner::Application),
        application_template_id: of(Owner::Template),
        key,
        value,
    })
}

/// One label of one object.
pub(crate) async fn get<C: ConnectionTrait>(
    connection: &C,
    owner: Owner,
    id: Uuid,
    key: &str,
) -> Result<Option<Json>, Error> {
    let row = entity::Entity::find()
        .filter(owner.column().eq(id))
        .filter(entity::Column::Key.eq(key))
        .one(connection)
        .await?;
    Ok(row.map(|row| row.value))
}

/// Removes one label of one object and gives its value, if it was there.
pub(crate) async fn remove<C: ConnectionTrait>(
    connection: &C,
    owner: Owner,
    id: Uuid,
    key: &str,
) -> Result<Option<Json>, Error> {
    let value = get(connection, owner, id, key).await?;
    entity::Entity::delete_many()
        .filter(owner.column().eq(id))
        .filter(entity::Column::Key.eq(key))
        .exec(connection)
        .await?;
    Ok(value)
}

/// Sets `key` to `value` on every application of a template.
pub(crate) async fn set_on_applications_of<C: ConnectionTrait>(
    connection: &C,
    template: Uuid,
    key: &str,
    value: Json,
) -> Result<(), Error> {
    use super::application;
    let mut after = Uuid::nil();
    loop {
        let ids = application::ids_of_template(connection, template, after).await?;
        let Some(last) = ids.last() else {
            return Ok(());
        };
        after = *last;
        let rows: Result<Vec<_>, _> = ids
            .into_iter()
            .map(|id| row(Owner::Application, id, key.to_owned(), value.clone()))
            .map(|row| row.map(entity::ActiveModel::from))
            .collect();
        let conflict = OnConflict::columns([entity::Column::ApplicationId, entity::Column::Key])
            .update_column(entity::Column::Value)
            .to_owned();
        entity::Entity::insert_many(rows?)
            .on_conflict(conflict)
            .exec_without_returning(connection)
            .await?;
    }
}
