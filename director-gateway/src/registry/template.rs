//! Application templates: what many applications have in common. They are global.

use std::collections::HashMap;

use binnacle_boot::{clock, ids};
use sea_orm::entity::prelude::*;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, ExprTrait as _, FromJsonQueryResult, QueryOrder as _,
    QuerySelect as _, QueryTrait as _, Set, SqlErr,
};
use serde::{Deserialize, Serialize};

use super::application::some;
use super::cursor::{Page, Slice};
use super::filter::{self, SUBACCOUNT, Test};
use super::label::{self, Labels, Owner};
use super::webhook::{self, NewWebhook};
use super::whole::{WholeTemplate, With};
use super::{Error, Registry};

/// What errors call a template.
pub const OBJECT: &str = "applicationTemplate";
/// The label that an application gets the name of its template in.
pub const TYPE_LABEL: &str = "applicationType";
const REGION: &str = "region";

/// A template.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "application_template")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// The region label as JSON text, empty without one: a name is unique per region.
    pub region: String,
    pub description: Option<String>,
    pub application_namespace: Option<String>,
    /// The input of a registration as JSON text, with placeholders.
    pub application_input: String,
    #[sea_orm(column_type = "JsonBinary")]
    pub placeholders: Placeholders,
    pub access_level: String,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    /// Bumped by every change of the template and of its webhooks and labels.
    pub revision: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// The placeholders of a template, in the order in which they are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Placeholders(pub Vec<Placeholder>);

/// A part of a template's input that the registration gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placeholder {
    pub name: String,
    pub description: Option<String>,
    /// Where a payload has the value.
    pub json_path: Option<String>,
    pub optional: Option<bool>,
}

/// A template as it is written.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    pub name: String,
    pub description: Option<String>,
    pub application_namespace: Option<String>,
    pub application_input: String,
    pub placeholders: Vec<Placeholder>,
    pub access_level: String,
    pub labels: Labels,
    pub webhooks: Vec<NewWebhook>,
}

impl Registry {
    /// A template.
    pub async fn template(&self, id: Uuid) -> Result<Option<Model>, Error> {
        Ok(Entity::find_by_id(id).one(self.reader()).await?)
    }

    /// Many templates at once.
    pub async fn templates_by_id(
        &self,
        ids: Vec<Uuid>,
        with: With,
    ) -> Result<HashMap<Uuid, WholeTemplate>, Error> {
        let backend = self.reader().get_database_backend();
        let mut select = Entity::find().filter(Column::Id.is_in(ids));
        for (expression, name) in with.columns(backend, Owner::Template) {
            select = select.expr_as(Expr::cust(expression), name);
        }
        let rows = self.reader().query_all(select.as_query()).await?;
        let mut templates = HashMap::with_capacity(rows.len());
        for row in rows {
            let found = with.read_template(&row)?;
            templates.insert(found.template.id, found);
        }
        Ok(templates)
    }

    /// Templates by id.
    pub async fn templates(&self, tests: &[Test], page: &Page) -> Result<Slice<Model>, Error> {
        let rows = self
            .select_templates(tests)
            .order_by_asc(Column::Id)
            .offset(page.offset)
            .limit(page.first.saturating_add(1))
            .all(self.reader())
            .await?;
        Ok(page.cut(rows))
    }

    /// How many templates [`Registry::templates`] has on all pages.
    pub async fn count_templates(&self, tests: &[Test]) -> Result<u64, Error> {
        Ok(self.select_templates(tests).count(self.reader()).await?)
    }

    fn select_templates(&self, tests: &[Test]) -> Select<Entity> {
        let backend = self.reader().get_database_backend();
        tests.iter().fold(Entity::find(), |select, test| {
            select.filter(filter::condition(backend, Owner::Template, test))
        })
    }

    /// The templates of a name that no subaccount owns, one per region.
    pub async fn templates_for_everybody(&self, name: &str) -> Result<Vec<Model>, Error> {
        let backend = self.reader().get_database_backend();
        let unowned = Test::Absent(SUBACCOUNT.to_owned());
        Ok(Entity::find()
            .filter(Column::Name.eq(name))
            .filter(filter::condition(backend, Owner::Template, &unowned))
            .order_by_asc(Column::Id)
            .all(self.reader())
            .await?)
    }

    /// Makes a template.
    pub async fn create_template(&self, new: NewTemplate) -> Result<Model, Error> {
        self.write(|transaction| Box::pin(create(transaction, new)))
            .await
    }

    /// Replaces a template. Its webhooks are replaced if `replace_webhooks` or if there are new
    /// ones; labels are added or replaced, never removed.
    pub async fn update_template(
        &self,
        id: Uuid,
        new: NewTemplate,
        replace_webhooks: bool,
    ) -> Result<Model, Error> {
        self.write(move |transaction| Box::pin(update(transaction, id, new, replace_webhooks)))
            .await
    }

    /// Removes a template that no application was made from, and gives it as it was.
    pub async fn delete_template(&self, id: Uuid) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                let found = locked(transaction, id).await?;
                let template = found.ok_or(Error::not_found(OBJECT))?;
                let deleted = Entity::delete_by_id(id).exec(transaction).await;
                deleted.map_err(|error| match error.sql_err() {
                    Some(SqlErr::ForeignKeyConstraintViolation(_)) => {
                        Error::Referenced { object: OBJECT }
                    }
                    _ => error.into(),
                })?;
                Ok(template)
            })
        })
        .await
    }
}

/// Reads a template to change it: nobody else changes it until the transaction ends.
pub(crate) async fn locked<C: ConnectionTrait>(
    connection: &C,
    id: Uuid,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find_by_id(id)
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

fn taken(name: &str, region: Option<&Json>) -> Error {
    let region = match region {
        None => "<nil>".to_owned(),
        Some(Json::String(region)) => region.clone(),
        Some(region) => region.to_string(),
    };
    Error::Refused(format!(
        "application template with name {name:?} and region {region} already exists"
    ))
}

async fn create(transaction: &DatabaseTransaction, new: NewTemplate) -> Result<Model, Error> {
    let NewTemplate {
        name,
        description,
        application_namespace,
        application_input,
        placeholders,
        access_level,
        labels,
        webhooks,
    } = new;
    let now = clock::now();
    let region = labels.get(REGION);
    let row = ActiveModel {
        id: Set(ids::v7()),
        name: Set(name.clone()),
        region: Set(region.map(Json::to_string).unwrap_or_default()),
        description: Set(some(description)),
        application_namespace: Set(some(application_namespace)),
        application_input: Set(application_input),
        placeholders: Set(Placeholders(placeholders)),
        access_level: Set(access_level),
        created_at: Set(now),
        updated_at: Set(now),
        revision: Set(1),
    };
    let template = row
        .insert(transaction)
        .await
        .map_err(|error| Error::unique(error, taken(&name, region)))?;
    let owner = webhook::Owner::Template(template.id);
    let webhooks = webhooks
        .into_iter()
        .map(|new| new.model(owner, now))
        .collect();
    webhook::insert_many(transaction, webhooks).await?;
    set_labels(transaction, template.id, labels).await?;
    Ok(template)
}

async fn update(
    transaction: &DatabaseTransaction,
    id: Uuid,
    new: NewTemplate,
    replace_webhooks: bool,
) -> Result<Model, Error> {
    let Some(old) = locked(transaction, id).await? else {
        let text = format!("application template with ID {id} doesn't exist");
        return Err(Error::Refused(text));
    };
    let NewTemplate {
        name,
        description,
        application_namespace,
        application_input,
        placeholders,
        access_level,
        labels,
        webhooks,
    } = new;
    let now = clock::now();
    set_labels(transaction, id, labels).await?;
    let region = label::get(transaction, Owner::Template, id, REGION).await?;
    let (old_name, revision) = (old.name.clone(), old.revision + 1);
    let change = ActiveModel {
        name: Set(name.clone()),
        region: Set(region.as_ref().map(Json::to_string).unwrap_or_default()),
        description: Set(some(description)),
        application_namespace: Set(some(application_namespace)),
        application_input: Set(application_input),
        placeholders: Set(Placeholders(placeholders)),
        access_level: Set(access_level),
        updated_at: Set(now),
        revision: Set(revision),
        ..old.into()
    };
    let template = change
        .update(transaction)
        .await
        .map_err(|error| Error::unique(error, taken(&name, region.as_ref())))?;
    if replace_webhooks || !webhooks.is_empty() {
        webhook::remove_of_template(transaction, id).await?;
        let owner = webhook::Owner::Template(id);
        let webhooks = webhooks
            .into_iter()
            .map(|new| new.model(owner, now))
            .collect();
        webhook::insert_many(transaction, webhooks).await?;
    }
    if name != old_name {
        label::set_on_applications_of(transaction, id, TYPE_LABEL, Json::from(name)).await?;
    }
    Ok(template)
}

async fn set_labels(
    transaction: &DatabaseTransaction,
    id: Uuid,
    labels: Labels,
) -> Result<(), Error> {
    let doing = format!("while creating multiple labels for Application Template with id {id}");
    label::set_all(transaction, Owner::Template, id, labels)
        .await
        .map_err(|error| error.during(&doing))
}
