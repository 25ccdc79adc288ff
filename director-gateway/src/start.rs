//! Starting an operation on an application: reading, checking, accepting. Who asks, over GraphQL or over gRPC,
//! makes no difference.

use std::sync::Arc;

use binnacle_boot::telemetry;
use binnacle_domain::operation::{OperationId, OperationType, UNPAIR_APPLICATION};
use binnacle_domain::webhook::{Webhook, WebhookType};
use http::HeaderMap;
use uuid::Uuid;

use crate::operations::{self, Acceptance, Operations, Proposal};
use crate::registry::application::{Model, OBJECT};
use crate::registry::{Error, Registry, snapshot, webhook};

/// How often an application that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// The mutations of an application that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mutation {
    Unregister,
    Unpair,
}

impl Mutation {
    /// The mutation of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Unregister, Self::Unpair]
            .into_iter()
            .find(|mutation| mutation.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unregister => "unregisterApplication",
            Self::Unpair => UNPAIR_APPLICATION,
        }
    }

    fn operation_type(self) -> OperationType {
        match self {
            Self::Unregister => OperationType::Delete,
            Self::Unpair => OperationType::Update,
        }
    }
}

/// What an operation keeps of the request that asked for it.
pub(crate) struct Origin<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) correlation_id: &'a str,
}

/// Starts an operation on an application, and gives the application as it was.
pub(crate) async fn start(
    registry: &Registry,
    operations: &Operations,
    (tenant, id): (Uuid, Uuid),
    mutation: Mutation,
    origin: &Origin<'_>,
) -> Result<(Model, OperationId), Error> {
    for attempt in 0..ATTEMPTS {
        let found = registry.application(tenant, id).await?;
        let application = found.ok_or(Error::not_found(OBJECT))?;
        application.ensure_idle()?;
        // The revisions are read before the webhooks: a change in between makes them stale.
        let template = template_revision(registry, &application).await?;
        let webhooks = chosen(registry, &application, WebhookType::UnregisterApplication).await?;
        let proposal = Proposal {
            revision: application.revision,
            template,
            webhooks,
            operation_type: mutation.operation_type(),
            category: mutation.name().to_owned(),
            ..proposal(&application, origin)
        };
        let acceptance = match attempt {
            0 => operations.accept(proposal).await?,
            _ => operations.accept_waiting(proposal).await?,
        };
        if let Acceptance::Accepted(operation) = acceptance {
            return Ok((application, operation));
        }
    }
    Err(Error::ConcurrentUpdate)
}

/// What every proposal about an application has in common.
pub(crate) fn proposal(application: &Model, origin: &Origin<'_>) -> Proposal {
    let tenant = application.tenant_id;
    Proposal {
        tenant,
        application: application.id,
        revision: application.revision,
        template: None,
        operation_type: OperationType::Update,
        category: String::new(),
        webhooks: Vec::new(),
        request_object: snapshot::request_object(application, tenant, origin.headers),
        correlation_id: origin.correlation_id.to_owned(),
        traceparent: telemetry::traceparent().unwrap_or_default(),
    }
}

async fn template_revision(
    registry: &Registry,
    application: &Model,
) -> Result<Option<(Uuid, i64)>, Error> {
    let Some(id) = application.application_template_id else {
        return Ok(None);
    };
    let template = registry.template(id).await?;
    Ok(template.map(|template| (template.id, template.revision)))
}

/// The webhooks of a type that apply to an application: its own wins over its template's.
async fn chosen(
    registry: &Registry,
    application: &Model,
    kind: WebhookType,
) -> Result<Vec<Webhook>, Error> {
    let mut own = registry
        .webhooks_of_applications(vec![application.id])
        .await?;
    let own = own.remove(&application.id).unwrap_or_default();
    let templates = match application.application_template_id {
        Some(id) => registry.webhooks_of_templates(vec![id]).await?.remove(&id),
        None => None,
    };
    let effective = webhook::effective(&own, &templates.unwrap_or_default());
    Ok(definitions(&effective, kind))
}

pub(crate) fn definitions(webhooks: &[webhook::Model], kind: WebhookType) -> Vec<Webhook> {
    let definitions = webhooks.iter().filter_map(webhook::Model::definition);
    definitions.filter(|webhook| webhook.kind == kind).collect()
}

impl From<operations::Error> for Error {
    fn from(error: operations::Error) -> Self {
        match error {
            operations::Error::Refused(reason) => Self::Refused(reason),
            other => Self::Failed(Arc::new(other)),
        }
    }
}
