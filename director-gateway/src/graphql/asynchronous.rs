//! Mutations that answer at once and are carried out by an operation.

use std::sync::Arc;

use async_graphql::{Context, Enum};
use binnacle_domain::operation::OperationType;
use binnacle_domain::webhook::{Webhook, WebhookType};
use uuid::Uuid;

use super::accepted::Accepted;
use super::{Caller, Options, registry_of};
use crate::operations::{self, Acceptance, Operations, Proposal};
use crate::registry::application::{Draft, Model, NewApplication, OBJECT};
use crate::registry::{Error, Registry, snapshot, webhook};

/// How often an application that changes while it is read is read again.
const ATTEMPTS: usize = 3;

/// Whether a mutation waits for what it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OperationMode {
    /// The change is made when the answer comes; no webhook is called.
    Sync,
    /// The answer comes at once with the URL to ask, in the extension `locations`.
    Async,
}

/// The mutations of an application that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mutation {
    Unregister,
    Unpair,
}

impl Mutation {
    fn name(self) -> &'static str {
        match self {
            Self::Unregister => "unregisterApplication",
            Self::Unpair => "unpairApplication",
        }
    }

    fn operation_type(self) -> OperationType {
        match self {
            Self::Unregister => OperationType::Delete,
            Self::Unpair => OperationType::Update,
        }
    }
}

/// The mode, which must not be null.
pub(crate) fn given(mode: Option<OperationMode>) -> Result<OperationMode, Error> {
    mode.ok_or_else(|| Error::InvalidData("mode must be SYNC or ASYNC".to_owned()))
}

/// Starts an operation on an application, and gives the application as it was.
pub(crate) async fn start(
    ctx: &Context<'_>,
    tenant: Uuid,
    id: Uuid,
    mutation: Mutation,
) -> Result<Model, Error> {
    let registry = registry_of(ctx);
    let operations = ctx.data_unchecked::<Operations>();
    for _ in 0..ATTEMPTS {
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
            ..proposal(ctx, &application)
        };
        if let Acceptance::Accepted(operation) = operations.accept(proposal).await? {
            note(ctx, operation.0, id);
            return Ok(application);
        }
    }
    Err(Error::ConcurrentUpdate)
}

/// Makes an application that is not ready, together with the operation that makes it so, and
/// gives it as it was before the operation.
pub(crate) async fn register(
    ctx: &Context<'_>,
    tenant: Uuid,
    new: NewApplication,
) -> Result<Model, Error> {
    let registry = registry_of(ctx);
    let operations = ctx.data_unchecked::<Operations>();
    let mut draft = Draft::new(tenant, new)?;
    draft.application.ready = false;
    let application = draft.application.clone();
    let proposal = Proposal {
        webhooks: definitions(&draft.webhooks, WebhookType::RegisterApplication),
        operation_type: OperationType::Create,
        category: "registerApplication".to_owned(),
        ..proposal(ctx, &application)
    };
    let creation = operations.create(proposal).await?;
    let operation = creation.id().0;
    draft.mark(operation);
    let creation = registry
        .write(move |transaction| {
            Box::pin(async move {
                draft.insert(transaction).await?;
                creation.insert(transaction).await?;
                Ok(creation)
            })
        })
        .await?;
    operations.created(creation);
    note(ctx, operation, application.id);
    Ok(application)
}

/// What every proposal about an application has in common.
fn proposal(ctx: &Context<'_>, application: &Model) -> Proposal {
    let caller = ctx.data_unchecked::<Caller>();
    let tenant = application.tenant_id;
    Proposal {
        tenant,
        application: application.id,
        revision: application.revision,
        template: None,
        operation_type: OperationType::Update,
        category: String::new(),
        webhooks: Vec::new(),
        request_object: snapshot::request_object(application, tenant, &caller.headers),
        correlation_id: caller.correlation_id.clone(),
        traceparent: traceparent(caller),
    }
}

fn traceparent(caller: &Caller) -> String {
    let header = caller
        .headers
        .get("traceparent")
        .and_then(|value| value.to_str().ok());
    header.unwrap_or_default().to_owned()
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

fn definitions(webhooks: &[webhook::Model], kind: WebhookType) -> Vec<Webhook> {
    let definitions = webhooks.iter().filter_map(webhook::Model::definition);
    definitions.filter(|webhook| webhook.kind == kind).collect()
}

fn note(ctx: &Context<'_>, operation: Uuid, application: Uuid) {
    let public_url = &ctx.data_unchecked::<Options>().public_url;
    let location = format!("{public_url}/last_operation/application/{application}");
    ctx.data_unchecked::<Accepted>().push(operation, location);
}

impl From<operations::Error> for Error {
    fn from(error: operations::Error) -> Self {
        match error {
            operations::Error::Refused(reason) => Self::Refused(reason),
            other => Self::Failed(Arc::new(other)),
        }
    }
}
