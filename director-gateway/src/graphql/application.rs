//! Applications: the systems that a tenant runs.

mod mutation;
mod query;

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::input::ApplicationStatusCondition;
use super::load::{LabelsOf, Loads, TemplateOf, WebhooksOf};
use super::page::{PageInfo, Parts};
use super::scalar::{Labels, Timestamp, enum_item};
use super::template::ApplicationTemplate;
use super::webhook::Webhook;
use crate::registry::application::Model;
use crate::registry::label::Labels as LabelMap;
use crate::registry::whole::Whole;
use crate::registry::{Error, webhook};

pub use mutation::ApplicationMutation;
pub use query::ApplicationQuery;

/// A system that a tenant runs.
pub struct Application {
    model: Model,
    /// It has just been removed, and with it all that belonged to it.
    is_gone: bool,
    /// What was read with it; the rest is read when it is asked for.
    labels: Option<LabelMap>,
    webhooks: Option<Vec<Webhook>>,
    template: Option<ApplicationTemplate>,
}

impl Application {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            is_gone: false,
            labels: None,
            webhooks: None,
            template: None,
        }
    }

    /// An application that has just been removed.
    fn gone(model: Model) -> Self {
        Self {
            is_gone: true,
            ..Self::new(model)
        }
    }

    fn whole(whole: Whole) -> Self {
        let Whole {
            application,
            webhooks,
            labels,
        } = whole;
        Self {
            labels,
            webhooks: webhooks.map(|all| effective(all.own, all.template)),
            ..Self::new(application)
        }
    }
}

/// How an application is doing.
#[derive(SimpleObject)]
pub struct ApplicationStatus {
    pub condition: ApplicationStatusCondition,
    pub timestamp: Timestamp,
}

/// A page of applications.
#[derive(SimpleObject)]
pub struct ApplicationPage {
    pub data: Vec<Application>,
    pub page_info: PageInfo,
    pub total_count: u64,
}

impl From<Parts<Application>> for ApplicationPage {
    fn from(
        Parts {
            data,
            page_info,
            total_count,
        }: Parts<Application>,
    ) -> Self {
        Self {
            data,
            page_info,
            total_count,
        }
    }
}

#[Object]
impl Application {
    async fn id(&self) -> ID {
        self.model.id.into()
    }

    async fn name(&self) -> &str {
        &self.model.name
    }

    async fn system_number(&self) -> Option<&str> {
        self.model.system_number.as_deref()
    }

    /// What the system calls the tenant that it serves.
    #[graphql(name = "localTenantID")]
    async fn local_tenant_id(&self) -> Option<&str> {
        self.model.local_tenant_id.as_deref()
    }

    async fn base_url(&self) -> Option<&str> {
        self.model.base_url.as_deref()
    }

    async fn provider_name(&self) -> Option<&str> {
        self.model.provider_name.as_deref()
    }

    async fn description(&self) -> Option<&str> {
        self.model.description.as_deref()
    }

    #[graphql(name = "integrationSystemID")]
    async fn integration_system_id(&self) -> Option<ID> {
        self.model.integration_system_id.map(Into::into)
    }

    #[graphql(name = "applicationTemplateID")]
    async fn application_template_id(&self) -> Option<ID> {
        self.model.application_template_id.map(Into::into)
    }

    /// The template that the application was made from.
    async fn application_template(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<ApplicationTemplate>, Arc<Error>> {
        let Some(id) = self.model.application_template_id else {
            return Ok(None);
        };
        if self.template.is_some() {
            return Ok(self.template.clone());
        }
        let loads = ctx.data_unchecked::<Loads>();
        let template = loads.load_one(TemplateOf(id)).await?;
        Ok(template.map(ApplicationTemplate::whole))
    }

    /// Its labels, or the one under `key`.
    async fn labels(
        &self,
        ctx: &Context<'_>,
        key: Option<String>,
    ) -> Result<Option<Labels>, Arc<Error>> {
        if self.is_gone {
            return Ok(None);
        }
        if let Some(labels) = &self.labels {
            return Ok(Some(Labels::of(labels, key.as_deref())));
        }
        let of = LabelsOf::Application(self.model.id);
        let loaded = ctx.data_unchecked::<Loads>().load_one(of).await?;
        let labels = loaded.unwrap_or_default();
        Ok(Some(Labels::of(&labels, key.as_deref())))
    }

    async fn status(&self) -> ApplicationStatus {
        let condition = enum_item(&self.model.status_condition);
        ApplicationStatus {
            condition: condition.unwrap_or(ApplicationStatusCondition::Initial),
            timestamp: Timestamp(self.model.status_timestamp),
        }
    }

    /// Its own webhooks, and its template's of the other types.
    async fn webhooks(&self, ctx: &Context<'_>) -> Result<Option<Vec<Webhook>>, Arc<Error>> {
        if self.is_gone {
            return Ok(None);
        }
        if let Some(webhooks) = &self.webhooks {
            return Ok(Some(webhooks.clone()));
        }
        let loads = ctx.data_unchecked::<Loads>();
        let own = loads
            .load_one(WebhooksOf::Application(self.model.id))
            .await?;
        let templates = match self.model.application_template_id {
            Some(id) => loads.load_one(WebhooksOf::Template(id)).await?,
            None => None,
        };
        let (own, templates) = (own.unwrap_or_default(), templates.unwrap_or_default());
        Ok(Some(effective(own, templates)))
    }

    #[graphql(name = "healthCheckURL")]
    async fn health_check_url(&self) -> Option<&str> {
        self.model.health_check_url.as_deref()
    }

    async fn application_namespace(&self) -> Option<&str> {
        self.model.application_namespace.as_deref()
    }

    async fn created_at(&self) -> Option<Timestamp> {
        Some(Timestamp(self.model.created_at))
    }

    async fn updated_at(&self) -> Option<Timestamp> {
        self.model.updated_at.map(Timestamp)
    }

    /// When it was first asked to be removed.
    async fn deleted_at(&self) -> Option<Timestamp> {
        self.model.deleted_at.map(Timestamp)
    }

    async fn system_status(&self) -> Option<&str> {
        self.model.system_status.as_deref()
    }

    /// What its last operation failed with: JSON text with the key `error`.
    async fn error(&self) -> Option<&str> {
        self.model.error.as_deref()
    }
}

fn effective(own: Vec<webhook::Model>, templates: Vec<webhook::Model>) -> Vec<Webhook> {
    let effective = webhook::effective(own, templates);
    effective.into_iter().map(Webhook::from).collect()
}
