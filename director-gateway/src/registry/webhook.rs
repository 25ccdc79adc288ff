//! Webhooks of applications and of templates.

pub(crate) mod row;

use std::collections::{BTreeMap, HashMap};

use binnacle_boot::{clock, ids};
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType};
use sea_orm::entity::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseTransaction, IntoActiveModel as _, QueryOrder as _};
use serde::{Deserialize, Serialize};

use super::application::{self, some};
use super::filter::SUBACCOUNT;
use super::{Error, Registry, label, template, tenant};

/// What errors call a webhook.
const OBJECT: &str = "webhook";

/// A webhook; exactly one of the two owners is set.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Deserialize, Serialize)]
#[sea_orm(table_name = "webhook")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub application_id: Option<Uuid>,
    pub application_template_id: Option<Uuid>,
    #[sea_orm(column_name = "type")]
    #[serde(rename = "type")]
    pub kind: String,
    pub mode: Option<String>,
    pub correlation_id_key: Option<String>,
    /// Seconds.
    pub retry_interval: Option<i32>,
    /// Seconds.
    pub timeout: Option<i32>,
    pub url: Option<String>,
    pub url_template: Option<String>,
    pub input_template: Option<String>,
    pub header_template: Option<String>,
    pub output_template: Option<String>,
    pub status_template: Option<String>,
    pub created_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}

/// Whose webhook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Application(Uuid),
    Template(Uuid),
}

/// A webhook as it is written. It has been checked before.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub kind: WebhookType,
    pub mode: Option<WebhookMode>,
    pub correlation_id_key: Option<String>,
    pub retry_interval: Option<i32>,
    pub timeout: Option<i32>,
    pub url: Option<String>,
    pub url_template: Option<String>,
    pub input_template: Option<String>,
    pub header_template: Option<String>,
    pub output_template: Option<String>,
    pub status_template: Option<String>,
}

impl NewWebhook {
    /// The row of a webhook that is made now.
    pub(crate) fn model(self, owner: Owner, now: DateTimeUtc) -> Model {
        let Self {
            kind,
            mode,
            correlation_id_key,
            retry_interval,
            timeout,
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
        } = self;
        let (application_id, application_template_id) = match owner {
            Owner::Application(id) => (Some(id), None),
            Owner::Template(id) => (None, Some(id)),
        };
        Model {
            id: ids::v7(),
            application_id,
            application_template_id,
            kind: kind.as_str().to_owned(),
            mode: mode.map(|mode| mode.as_str().to_owned()),
            correlation_id_key: some(correlation_id_key),
            retry_interval,
            timeout,
            url: some(url),
            url_template: some(url_template),
            input_template: some(input_template),
            header_template: some(header_template),
            output_template: some(output_template),
            status_template: some(status_template),
            created_at: now,
        }
    }
}

impl Model {
    /// The webhook as an operation carries it. `None` for a type that this version does not know.
    pub fn definition(self) -> Option<Webhook> {
        let seconds = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
        Some(Webhook {
            id: self.id,
            kind: WebhookType::from_name(&self.kind)?,
            mode: self.mode.as_deref().and_then(WebhookMode::from_name),
            url: self.url,
            url_template: self.url_template,
            input_template: self.input_template,
            header_template: self.header_template,
            output_template: self.output_template,
            status_template: self.status_template,
            correlation_id_key: self.correlation_id_key,
            retry_interval: seconds(self.retry_interval),
            timeout: seconds(self.timeout),
        })
    }

    fn owner(&self) -> Option<Owner> {
        let template = self.application_template_id.map(Owner::Template);
        self.application_id.map(Owner::Application).or(template)
    }
}

/// What applies to an application: its own webhooks, and its template's of the other types.
/// Ordered by type.
pub fn effective(own: Vec<Model>, templates: Vec<Model>) -> Vec<Model> {
    let mut by_kind: BTreeMap<String, Model> = BTreeMap::new();
    for webhook in templates.into_iter().chain(own) {
        by_kind.insert(webhook.kind.clone(), webhook);
    }
    by_kind.into_values().collect()
}

impl Registry {
    /// The webhooks of many applications' own.
    pub async fn webhooks_of_applications(
        &self,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Vec<Model>>, Error> {
        let rows = self.webhooks_where(Column::ApplicationId, ids).await?;
        Ok(grouped(rows, |webhook| webhook.application_id))
    }

    /// The webhooks of many templates.
    pub async fn webhooks_of_templates(
        &self,
        ids: Vec<Uuid>,
    ) -> Result<HashMap<Uuid, Vec<Model>>, Error> {
        let rows = self
            .webhooks_where(Column::ApplicationTemplateId, ids)
            .await?;
        Ok(grouped(rows, |webhook| webhook.application_template_id))
    }

    async fn webhooks_where(&self, column: Column, ids: Vec<Uuid>) -> Result<Vec<Model>, Error> {
        Ok(Entity::find()
            .filter(column.is_in(ids))
            .order_by_asc(Column::Kind)
            .all(self.reader())
            .await?)
    }

    /// Gives an application of the tenant a webhook.
    pub async fn add_application_webhook(
        &self,
        tenant: Uuid,
        application: Uuid,
        new: NewWebhook,
    ) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                if application::locked(transaction, tenant, application)
                    .await?
                    .is_none()
                {
                    return Err(no_owner("ApplicationWebhook"));
                }
                add(
                    transaction,
                    Owner::Application(application),
                    new,
                    "appWebhook",
                )
                .await
            })
        })
        .await
    }

    /// Gives a template a webhook. A caller in a tenant must be the subaccount that owns it.
    pub async fn add_template_webhook(
        &self,
        caller: Option<tenant::Model>,
        template: Uuid,
        new: NewWebhook,
    ) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                if template::locked(transaction, template).await?.is_none() {
                    return Err(no_owner("ApplicationTemplateWebhook"));
                }
                if let Some(tenant) = caller {
                    let owner = label::Owner::Template;
                    let owned_by = label::get(transaction, owner, template, SUBACCOUNT).await?;
                    if owned_by != Some(Json::from(tenant.external_id)) {
                        return Err(Error::Unauthorized(
                            "Owner access is needed for resource modification",
                        ));
                    }
                }
                add(transaction, Owner::Template(template), new, OBJECT).await
            })
        })
        .await
    }

    /// Replaces a webhook that the caller may see, but for the name of its correlation header.
    pub async fn update_webhook(
        &self,
        tenant: Option<Uuid>,
        id: Uuid,
        new: NewWebhook,
    ) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                let (old, owner) = visible(transaction, tenant, id).await?;
                let mut changed = new.model(owner, old.created_at);
                changed.id = old.id;
                changed.correlation_id_key = old.correlation_id_key;
                let object = if old.application_id.is_some() {
                    "appWebhook"
                } else {
                    OBJECT
                };
                let changed = changed
                    .into_active_model()
                    .reset_all()
                    .update(transaction)
                    .await
                    .map_err(|error| Error::unique(error, Error::NotUnique { object }))?;
                bump(transaction, owner).await?;
                Ok(changed)
            })
        })
        .await
    }

    /// Removes a webhook that the caller may see, and gives it as it was.
    pub async fn delete_webhook(&self, tenant: Option<Uuid>, id: Uuid) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                let (webhook, owner) = visible(transaction, tenant, id).await?;
                Entity::delete_by_id(id).exec(transaction).await?;
                bump(transaction, owner).await?;
                Ok(webhook)
            })
        })
        .await
    }
}

fn grouped(rows: Vec<Model>, owner: impl Fn(&Model) -> Option<Uuid>) -> HashMap<Uuid, Vec<Model>> {
    let mut webhooks: HashMap<Uuid, Vec<Model>> = HashMap::new();
    for row in rows {
        if let Some(id) = owner(&row) {
            webhooks.entry(id).or_default().push(row);
        }
    }
    webhooks
}

fn no_owner(kind: &str) -> Error {
    Error::InvalidData(format!(
        "cannot add {kind} due to not existing reference entity"
    ))
}

async fn add(
    transaction: &DatabaseTransaction,
    owner: Owner,
    new: NewWebhook,
    object: &'static str,
) -> Result<Model, Error> {
    let webhook = new.model(owner, clock::now());
    Entity::insert(ActiveModel::from(webhook.clone()))
        .exec_without_returning(transaction)
        .await
        .map_err(|error| Error::unique(error, Error::NotUnique { object }))?;
    bump(transaction, owner).await?;
    Ok(webhook)
}

/// Inserts webhooks of an owner that is made in the same transaction.
pub(crate) async fn insert_many<C: ConnectionTrait>(
    connection: &C,
    webhooks: Vec<Model>,
) -> Result<(), Error> {
    let Some(first) = webhooks.first() else {
        return Ok(());
    };
    let object = if first.application_id.is_some() {
        "appWebhook"
    } else {
        OBJECT
    };
    Entity::insert_many(webhooks.into_iter().map(ActiveModel::from))
        .exec_without_returning(connection)
        .await
        .map_err(|error| Error::unique(error, Error::NotUnique { object }))?;
    Ok(())
}

/// Removes all webhooks of a template.
pub(crate) async fn remove_of_template<C: ConnectionTrait>(
    connection: &C,
    template: Uuid,
) -> Result<(), Error> {
    Entity::delete_many()
        .filter(Column::ApplicationTemplateId.eq(template))
        .exec(connection)
        .await?;
    Ok(())
}

/// A webhook with its locked owner, if that is a template or an application of the tenant.
async fn visible(
    transaction: &DatabaseTransaction,
    tenant: Option<Uuid>,
    id: Uuid,
) -> Result<(Model, Owner), Error> {
    let missing = || Error::not_found(OBJECT);
    let webhook = Entity::find_by_id(id)
        .one(transaction)
        .await?
        .ok_or_else(missing)?;
    let owner = webhook.owner().ok_or_else(missing)?;
    match owner {
        Owner::Application(application) => {
            let tenant = tenant.ok_or(Error::TenantRequired)?;
            application::locked(transaction, tenant, application)
                .await?
                .ok_or_else(missing)?;
        }
        Owner::Template(template) => {
            template::locked(transaction, template)
                .await?
                .ok_or_else(missing)?;
        }
    }
    Ok((webhook, owner))
}

async fn bump(transaction: &DatabaseTransaction, owner: Owner) -> Result<(), Error> {
    match owner {
        Owner::Application(id) => application::bump(transaction, id).await,
        Owner::Template(id) => template::bump(transaction, id).await,
    }
}
