//! Applications: the systems that a tenant runs.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};

use super::asynchronous::{self, OperationMode};
use super::input::{
    ApplicationRegisterInput, ApplicationStatusCondition, ApplicationUpdateInput, parse_id,
};
use super::load::{LabelsOf, Loads, TemplateOf, WebhooksOf};
use super::page::{self, LabelFilter, PageInfo, Parts, Wanted};
use super::placeholder::{self, ApplicationFromTemplateInput};
use super::scalar::{Labels, PageCursor, Timestamp, enum_item};
use super::template::ApplicationTemplate;
use super::webhook::Webhook;
use super::{registry_of, tenant_of};
use crate::registry::application::{Listing, Model};
use crate::registry::cursor::{Page, Slice};
use crate::registry::{Error, filter, webhook};
use crate::start::Mutation;

/// A system that a tenant runs.
pub struct Application {
    model: Model,
    /// It has just been removed, and with it all that belonged to it.
    is_gone: bool,
}

impl Application {
    pub(crate) fn new(model: Model) -> Self {
        Self {
            model,
            is_gone: false,
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
        let template = ctx
            .data_unchecked::<Loads>()
            .load_one(TemplateOf(id))
            .await?;
        Ok(template.map(ApplicationTemplate))
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
        let of = LabelsOf::Application(self.model.id);
        let labels = ctx
            .data_unchecked::<Loads>()
            .load_one(of)
            .await?
            .unwrap_or_default();
        Ok(Some(Labels::of(labels, key.as_deref())))
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
        let loads = ctx.data_unchecked::<Loads>();
        let own = loads
            .load_one(WebhooksOf::Application(self.model.id))
            .await?;
        let templates = match self.model.application_template_id {
            Some(id) => loads.load_one(WebhooksOf::Template(id)).await?,
            None => None,
        };
        let (own, templates) = (own.unwrap_or_default(), templates.unwrap_or_default());
        Ok(Some(
            webhook::effective(&own, &templates)
                .into_iter()
                .map(Webhook)
                .collect(),
        ))
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

#[derive(Default)]
pub struct ApplicationQuery;

#[Object]
impl ApplicationQuery {
    /// The tenant's applications that pass all filters, by id.
    async fn applications(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<LabelFilter>>,
        #[graphql(default_with = "Some(200)")] first: Option<i32>,
        after: Option<PageCursor>,
    ) -> Result<ApplicationPage, Error> {
        let tenant = tenant_of(ctx)?.id;
        let first = page::size(first)?;
        let Some(tests) = filter::for_applications(&page::filters(filter))? else {
            return Ok(empty(first, after));
        };
        let page = Page::after(first, after.map(|cursor| cursor.0))?;
        list(
            ctx,
            Listing {
                tenant,
                local_tenant_id: None,
                tests,
            },
            page,
        )
        .await
    }

    /// An application; null if the tenant has none of this id.
    async fn application(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Application>, Error> {
        let tenant = tenant_of(ctx)?.id;
        let found = registry_of(ctx)
            .application(tenant, parse_id("id", &id)?)
            .await?;
        Ok(found.map(Application::new))
    }

    /// The application with the number that its system gave it.
    async fn application_by_system_number(
        &self,
        ctx: &Context<'_>,
        system_number: String,
    ) -> Result<Option<Application>, Error> {
        let tenant = tenant_of(ctx)?.id;
        let found = registry_of(ctx)
            .application_by_system_number(tenant, &system_number)
            .await?;
        Ok(found.map(Application::new))
    }

    /// The applications that serve one of their system's own tenants.
    #[graphql(name = "applicationsByLocalTenantID")]
    async fn applications_by_local_tenant_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "localTenantID")] local_tenant_id: String,
        filter: Option<Vec<Option<LabelFilter>>>,
        #[graphql(default_with = "Some(200)")] first: Option<i32>,
        after: Option<PageCursor>,
    ) -> Result<ApplicationPage, Error> {
        let doing = format!(
            "while listing applications by local tenant id '{local_tenant_id}': while listing \
             applications"
        );
        let tenant = tenant_of(ctx)?.id;
        let first = page::large_size(first)?;
        let filters = filter.map(|filters| filters.into_iter().flatten().collect());
        let Some(tests) = filter::for_applications(&page::filters(filters))? else {
            return Ok(empty(first, after));
        };
        let page = Page::after(first, after.map(|cursor| cursor.0));
        let page = page.map_err(|error| error.during(&doing))?;
        list(
            ctx,
            Listing {
                tenant,
                local_tenant_id: Some(local_tenant_id),
                tests,
            },
            page,
        )
        .await
    }

    /// The application that was made from a template for one of its system's own tenants.
    #[graphql(name = "applicationByLocalTenantIDAndAppTemplateID")]
    async fn application_by_local_tenant_id_and_app_template_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "localTenantID")] local_tenant_id: String,
        #[graphql(name = "applicationTemplateID")] application_template_id: ID,
    ) -> Result<Option<Application>, Error> {
        let tenant = tenant_of(ctx)?.id;
        let template = parse_id("applicationTemplateID", &application_template_id)?;
        let registry = registry_of(ctx);
        let found = registry
            .application_by_local_tenant_and_template(tenant, &local_tenant_id, template)
            .await?;
        Ok(found.map(Application::new))
    }
}

async fn list(ctx: &Context<'_>, listing: Listing, page: Page) -> Result<ApplicationPage, Error> {
    let registry = registry_of(ctx);
    let wanted = Wanted::of(ctx);
    let slice = if wanted.rows {
        registry.applications(&listing, &page).await?
    } else {
        Slice {
            rows: Vec::new(),
            has_next: false,
        }
    };
    let count = if wanted.count {
        registry.count_applications(&listing).await?
    } else {
        0
    };
    Ok(Parts::new(page, slice, count, Application::new).into())
}

fn empty(first: u64, after: Option<PageCursor>) -> ApplicationPage {
    let cursor = after.map(|cursor| cursor.0).unwrap_or_default();
    let page = Page {
        first,
        offset: 0,
        cursor,
    };
    let nothing = Slice {
        rows: Vec::new(),
        has_next: false,
    };
    Parts::new(page, nothing, 0, Application::new).into()
}

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
                Ok(Application {
                    model,
                    is_gone: true,
                })
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
