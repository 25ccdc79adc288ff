//! Starting an operation on an application: reading, checking, accepting. Who asks, over GraphQL or over gRPC,
//! makes no difference.

use std::mem;
use std::sync::Arc;

use binnacle_boot::telemetry;
use binnacle_domain::operation::{OperationId, OperationType, UNPAIR_APPLICATION};
use binnacle_domain::webhook::{Webhook, WebhookType};
use http::HeaderMap;
use uuid::Uuid;

use crate::operations::{self, Operations, Proposal};
use crate::registry::application::{Model, OBJECT};
use crate::registry::snapshot::{self, Headers};
use crate::registry::{Error, Registry, Target, webhook};

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
pub(crate) struct Origin {
    headers: Headers,
    correlation_id: String,
    traceparent: String,
}

impl Origin {
    /// That of the request that this task is about.
    pub(crate) fn new(headers: &HeaderMap, correlation_id: &str) -> Self {
        Self {
            headers: headers.into(),
            correlation_id: correlation_id.to_owned(),
            traceparent: telemetry::traceparent().unwrap_or_default(),
        }
    }
}

/// Starts an operation on an application, and gives the application as it was.
pub(crate) async fn start(
    registry: &Registry,
    operations: &Operations,
    (tenant, id): (Uuid, Uuid),
    mutation: Mutation,
    origin: Origin,
) -> Result<(Model, OperationId), Error> {
    let origin = Arc::new(origin);
    let shared = Arc::clone(&origin);
    let started = operations.start_on((tenant, id), move |target| {
        propose(target, mutation, &shared)
    });
    if let Some(started) = started.await? {
        return Ok(started);
    }
    for _ in 1..ATTEMPTS {
        let target = registry.target(tenant, id).await?;
        let mut target = target.ok_or(Error::not_found(OBJECT))?;
        let proposal = propose(&mut target, mutation, &origin)?;
        if let Some(operation) = operations.accept_waiting(proposal).await? {
            return Ok((target.application, operation));
        }
    }
    Err(Error::ConcurrentUpdate)
}

/// What a mutation makes of an application, whose webhooks it takes.
fn propose(target: &mut Target, mutation: Mutation, origin: &Origin) -> Result<Proposal, Error> {
    let application = &target.application;
    application.ensure_idle()?;
    let own = mem::take(&mut target.own_webhooks);
    let webhooks = webhook::effective(own, mem::take(&mut target.template_webhooks));
    let template = application.application_template_id;
    Ok(Proposal {
        template: template.zip(target.template_revision),
        webhooks: definitions(webhooks, WebhookType::UnregisterApplication),
        operation_type: mutation.operation_type(),
        category: mutation.name().to_owned(),
        ..proposal(application, origin)
    })
}

/// What every proposal about an application has in common.
pub(crate) fn proposal(application: &Model, origin: &Origin) -> Proposal {
    let tenant = application.tenant_id;
    Proposal {
        tenant,
        application: application.id,
        revision: application.revision,
        template: None,
        operation_type: OperationType::Update,
        category: String::new(),
        webhooks: Vec::new(),
        request_object: snapshot::request_object(application, tenant, &origin.headers),
        correlation_id: origin.correlation_id.clone(),
        traceparent: origin.traceparent.clone(),
    }
}

/// Those of a type, as operations carry them.
pub(crate) fn definitions(webhooks: Vec<webhook::Model>, kind: WebhookType) -> Vec<Webhook> {
    let definitions = webhooks.into_iter().filter_map(webhook::Model::definition);
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
