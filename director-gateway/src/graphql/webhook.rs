//! Webhooks of applications and of templates.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::input::{WebhookInput, WebhookMode, WebhookType, parse_id};
use super::scalar::{Timestamp, enum_item};
use super::validation::refused_webhook;
use super::{optional_tenant_of, registry_of, tenant_of};
use crate::registry::{Error, webhook};

/// A webhook: how another system is told of a change.
#[derive(Clone)]
pub struct Webhook(pub Arc<webhook::Model>);

impl From<webhook::Model> for Webhook {
    fn from(model: webhook::Model) -> Self {
        Self(Arc::new(model))
    }
}

#[Object]
impl Webhook {
    async fn id(&self) -> ID {
        self.0.id.into()
    }

    #[graphql(name = "applicationID")]
    async fn application_id(&self) -> Option<ID> {
        self.0.application_id.map(Into::into)
    }

    #[graphql(name = "applicationTemplateID")]
    async fn application_template_id(&self) -> Option<ID> {
        self.0.application_template_id.map(Into::into)
    }

    /// Always null: only applications and templates have webhooks.
    #[graphql(name = "runtimeID")]
    async fn runtime_id(&self) -> Option<ID> {
        None
    }

    /// Always null: only applications and templates have webhooks.
    #[graphql(name = "integrationSystemID")]
    async fn integration_system_id(&self) -> Option<ID> {
        None
    }

    /// Always null: only applications and templates have webhooks.
    #[graphql(name = "formationTemplateID")]
    async fn formation_template_id(&self) -> Option<ID> {
        None
    }

    #[graphql(name = "type")]
    #[expect(
        clippy::unused_async,
        reason = "the macro wants every resolver asynchronous"
    )]
    async fn kind(&self) -> Result<WebhookType, Error> {
        enum_item(&self.0.kind).ok_or_else(|| unknown(&self.0.kind))
    }

    async fn mode(&self) -> Option<WebhookMode> {
        self.0.mode.as_deref().and_then(enum_item)
    }

    /// The name of the header that carries the operation's correlation id.
    async fn correlation_id_key(&self) -> Option<&str> {
        self.0.correlation_id_key.as_deref()
    }

    /// Seconds between two attempts or polls.
    async fn retry_interval(&self) -> Option<i32> {
        self.0.retry_interval
    }

    /// Seconds from the first call until the webhook has failed.
    async fn timeout(&self) -> Option<i32> {
        self.0.timeout
    }

    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    async fn url_template(&self) -> Option<&str> {
        self.0.url_template.as_deref()
    }

    async fn input_template(&self) -> Option<&str> {
        self.0.input_template.as_deref()
    }

    async fn header_template(&self) -> Option<&str> {
        self.0.header_template.as_deref()
    }

    async fn output_template(&self) -> Option<&str> {
        self.0.output_template.as_deref()
    }

    async fn status_template(&self) -> Option<&str> {
        self.0.status_template.as_deref()
    }

    async fn created_at(&self) -> Option<Timestamp> {
        Some(Timestamp(self.0.created_at))
    }
}

fn unknown(kind: &str) -> Error {
    Error::Refused(format!("webhook type {kind} is not known to this version"))
}

#[derive(Default)]
pub struct WebhookMutation;

#[Object]
impl WebhookMutation {
    /// Gives an application or a template a webhook. One of each type at most.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the API"
    )]
    async fn add_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "applicationID")] application_id: Option<ID>,
        #[graphql(name = "applicationTemplateID")] application_template_id: Option<ID>,
        #[graphql(name = "runtimeID")] runtime_id: Option<ID>,
        #[graphql(name = "formationTemplateID")] formation_template_id: Option<ID>,
        #[graphql(name = "in")] input: WebhookInput,
    ) -> Result<Webhook, Error> {
        input.validate().map_err(refused_webhook)?;
        let owners = (
            application_id,
            application_template_id,
            runtime_id,
            formation_template_id,
        );
        let registry = registry_of(ctx);
        match owners {
            (Some(id), None, None, None) => {
                let tenant = tenant_of(ctx)?.id;
                let id = parse_id("applicationID", &id)?;
                registry
                    .add_application_webhook(tenant, id, input.into())
                    .await
                    .map(Webhook::from)
            }
            (None, Some(id), None, None) => {
                let caller = optional_tenant_of(ctx).cloned();
                let id = parse_id("applicationTemplateID", &id)?;
                registry
                    .add_template_webhook(caller, id, input.into())
                    .await
                    .map(Webhook::from)
            }
            (None, None, Some(_), None) => {
                tenant_of(ctx)?;
                Err(no_owner("RuntimeWebhook"))
            }
            (None, None, None, Some(_)) => Err(no_owner("FormationTemplateWebhook")),
            _ => Err(Error::InvalidData(
                "exactly one of applicationID, applicationTemplateID, runtimeID or \
                 formationTemplateID should be specified"
                    .to_owned(),
            )),
        }
    }

    /// Replaces a webhook, but for `correlationIdKey`.
    async fn update_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "webhookID")] webhook_id: ID,
        #[graphql(name = "in")] input: WebhookInput,
    ) -> Result<Webhook, Error> {
        input.validate().map_err(refused_webhook)?;
        let tenant = optional_tenant_of(ctx).map(|tenant| tenant.id);
        let id = parse_id("webhookID", &webhook_id)?;
        registry_of(ctx)
            .update_webhook(tenant, id, input.into())
            .await
            .map(Webhook::from)
    }

    /// Removes a webhook, and gives it as it was.
    async fn delete_webhook(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "webhookID")] webhook_id: ID,
    ) -> Result<Webhook, Error> {
        let tenant = optional_tenant_of(ctx).map(|tenant| tenant.id);
        let id = parse_id("webhookID", &webhook_id)?;
        registry_of(ctx)
            .delete_webhook(tenant, id)
            .await
            .map(Webhook::from)
    }
}

fn no_owner(kind: &str) -> Error {
    Error::InvalidData(format!(
        "cannot add {kind} due to not existing reference entity"
    ))
}
