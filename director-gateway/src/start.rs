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
use crate::registry::{Error, Registry, Target, snapshot, webhook};

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
        let target = registry.target(tenant, id).await?;
        let Target {
            application,
            template_revision,
            own_webhooks,
            template_webhooks,
        } = target.ok_or(Error::not_found(OBJECT))?;
        application.ensure_idle()?;
        let webhooks = webhook::effective(own_webhooks, template_webhooks);
        let webhooks = definitions(&webhooks, WebhookType::UnregisterApplication);
        let template = application.application_template_id.zip(template_revision);
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
