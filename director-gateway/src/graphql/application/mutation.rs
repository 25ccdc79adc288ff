//! Changing applications.

use async_graphql::{Context, ID, Object};

use super::Application;
use crate::graphql::asynchronous::{self, OperationMode};
use crate::graphql::input::{ApplicationRegisterInput, ApplicationUpdateInput, parse_id};
use crate::graphql::placeholder::{self, ApplicationFromTemplateInput};
use crate::graphql::{registry_of, tenant_of};
use crate::registry::Error;
use crate::start::Mutation;

#[derive(Default)]
pub struct ApplicationMutation;

#[Object]
impl ApplicationMutation {
    /// Makes an application. `ASYNC`: it is ready once its webhook `REGISTER_APPLICATION` has
    /// succeeded.
    async fn register_application(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: ApplicationRegisterInput,
        #[graphql(default_with = "Some(OperationMode::Sync)")] mode: Option<OperationMode>,
    ) -> Result<Application, Error> {
        input.validate()?;
        let mode = asynchronous::given(mode)?;
        let tenant = tenant_of(ctx)?.id;
        let mut labels = input.labels("in")?;
        labels.insert("managed".to_owned(), "false".into());
        let new = input.application(labels, None);
        let model = match mode {
            OperationMode::Sync => registry_of(ctx).register(tenant, new).await?,
            OperationMode::Async => asynchronous::register(ctx, tenant, new).await?,
        };
        Ok(Application::new(model))
    }

    /// Makes an application from a template.
    async fn register_application_from_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: ApplicationFromTemplateInput,
    ) -> Result<Application, Error> {
        placeholder::register(ctx, input)
            .await
            .map(Application::new)
    }

    /// Changes an application. Its name stays.
    async fn update_application(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(name = "in")] input: ApplicationUpdateInput,
    ) -> Result<Application, Error> {
        input.validate()?;
        let tenant = tenant_of(ctx)?.id;
        let id = parse_id("id", &id)?;
        registry_of(ctx)
            .update(tenant, id, input.into())
            .await
            .map(Application::new)
    }

    /// Removes an application. `ASYNC`: once its webhook `UNREGISTER_APPLICATION` has succeeded.
    async fn unregister_application(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(default_with = "Some(OperationMode::Sync)")] mode: Option<OperationMode>,
    ) -> Result<Application, Error> {
        let mode = asynchronous::given(mode)?;
        let tenant = tenant_of(ctx)?.id;
        let id = parse_id("id", &id)?;
        match mode {
            OperationMode::Sync => {
                let model = registry_of(ctx).unregister(tenant, id).await?;
                Ok(Application::gone(model))
            }
            OperationMode::Async => {
                let model = asynchronous::start(ctx, tenant, id, Mutation::Unregister).await?;
                Ok(Application::new(model))
            }
        }
    }

    /// Takes an application back to its first status. `ASYNC`: once its webhook
    /// `UNREGISTER_APPLICATION` has succeeded.
    async fn unpair_application(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(default_with = "Some(OperationMode::Sync)")] mode: Option<OperationMode>,
    ) -> Result<Application, Error> {
        let mode = asynchronous::given(mode)?;
        let tenant = tenant_of(ctx)?.id;
        let id = parse_id("id", &id)?;
        let model = match mode {
            OperationMode::Sync => registry_of(ctx).unpair(tenant, id).await?,
            OperationMode::Async => asynchronous::start(ctx, tenant, id, Mutation::Unpair).await?,
        };
        Ok(Application::new(model))
    }
}
