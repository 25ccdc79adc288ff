//! The Compass Director's GraphQL API, as far as it is about applications.
//!
//! Names, nullability, order, messages and error codes are those that Compass's clients know;
//! what they are was recorded from the real Director and is played back in the tests. One file
//! per aggregate; this one only assembles.
//!
//! *Invariant*: resolvers hold no rule of the registry. They check the shape of an input, call
//! the registry once, and wrap what it gives.

mod accepted;
pub mod application;
pub mod asynchronous;
mod document;
mod error;
pub mod input;
pub mod label;
mod literal;
mod load;
pub mod page;
pub mod placeholder;
mod presenter;
pub mod scalar;
pub mod template;
pub mod tenant;
mod validation;

pub mod viewer;
pub mod webhook;

use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, MergedObject, Request, Schema};
use http::HeaderMap;

use crate::operations::Operations;
use crate::registry::{self, Registry, tenant as tenants};

pub use accepted::Accepted;
pub(crate) use document::is_alike;
pub use error::{Refusal, refusal};

/// Who asks, and with what.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The external id of the tenant that the request is about.
    pub tenant: Option<String>,
    /// The headers of the HTTP request. Operations keep them, but for credentials.
    pub headers: HeaderMap,
    /// Given by the client, or made by the gateway.
    pub correlation_id: String,
}

/// What of the API depends on how the gateway is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where poll URLs begin, without a slash at the end.
    pub public_url: String,
    /// The id of the user that every caller is.
    pub user: String,
}

/// The tenant of the request, once it is known to exist.
struct InTenant(Option<Arc<tenants::Model>>);

/// Everything that can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    application::ApplicationQuery,
    template::TemplateQuery,
    label::LabelQuery,
    tenant::TenantQuery,
    viewer::ViewerQuery,
);

/// Everything that can be changed.
#[derive(MergedObject, Default)]
pub struct Mutation(
    application::ApplicationMutation,
    template::TemplateMutation,
    label::LabelMutation,
    webhook::WebhookMutation,
    tenant::TenantMutation,
);

/// The schema with all that it needs to run.
pub type GatewaySchema = Schema<Query, Mutation, EmptySubscription>;

/// Assembles the schema.
pub fn schema(registry: Registry, operations: Operations, options: Options) -> GatewaySchema {
    let shutdown = registry.shutdown().clone();
    let loader = load::loader(registry.clone(), shutdown);
    builder()
        .data(registry)
        .data(operations)
        .data(options)
        .data(loader)
        .extension(presenter::Present(document::Documents::of(&sdl())))
        .finish()
}

/// The schema in GraphQL's definition language.
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments();
    builder()
        .finish()
        .sdl_with_options(options.sorted_enum_items())
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription).disable_suggestions()
}

/// Puts what resolvers need into a request. Refused as a whole if the caller's tenant is unknown.
pub async fn request_data(
    registry: &Registry,
    caller: Caller,
    request: Request,
) -> Result<Request, registry::Error> {
    let tenant = match &caller.tenant {
        None => None,
        Some(external) => {
            let found = registry.tenant_of_caller(external).await?;
            Some(found.ok_or_else(|| registry::Error::TenantNotFound(external.clone()))?)
        }
    };
    Ok(request.data(caller).data(InTenant(tenant)))
}

/// The tenant of the request.
fn tenant_of<'c>(ctx: &Context<'c>) -> Result<&'c tenants::Model, registry::Error> {
    optional_tenant_of(ctx).ok_or(registry::Error::TenantRequired)
}

fn optional_tenant_of<'c>(ctx: &Context<'c>) -> Option<&'c tenants::Model> {
    ctx.data_opt::<InTenant>()
        .and_then(|tenant| tenant.0.as_deref())
}

fn registry_of<'c>(ctx: &Context<'c>) -> &'c Registry {
    ctx.data_unchecked::<Registry>()
}
