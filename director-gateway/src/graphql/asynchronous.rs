//! Mutations that answer at once and are carried out by an operation.

use async_graphql::{Context, Enum};
use binnacle_domain::operation::OperationType;
use binnacle_domain::webhook::WebhookType;
use uuid::Uuid;

use super::accepted::Accepted;
use super::{Caller, Options, registry_of};
use crate::operations::{Operations, Proposal};
use crate::registry::Error;
use crate::registry::application::{Draft, Model, NewApplication};
use crate::start::{self, Mutation, Origin, definitions};

/// Whether a mutation waits for what it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum OperationMode {
    /// The change is made when the answer comes; no webhook is called.
    Sync,
    /// The answer comes at once with the URL to ask, in the extension `locations`.
    Async,
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
    let operations = ctx.data_unchecked::<Operations>();
    let (application, operation) = start::start(
        registry_of(ctx),
        operations,
        (tenant, id),
        mutation,
        origin(ctx),
    )
    .await?;
    note(ctx, operation.0, id);
    Ok(application)
}

fn origin(ctx: &Context<'_>) -> Origin {
    let caller = ctx.data_unchecked::<Caller>();
    Origin::new(&caller.headers, &caller.correlation_id)
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
        webhooks: definitions(draft.webhooks.clone(), WebhookType::RegisterApplication),
        operation_type: OperationType::Create,
        category: "registerApplication".to_owned(),
        ..start::proposal(&application, &origin(ctx))
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

fn note(ctx: &Context<'_>, operation: Uuid, application: Uuid) {
    let public_url = &ctx.data_unchecked::<Options>().public_url;
    ctx.data_unchecked::<Accepted>()
        .push(public_url, operation, application);
}
