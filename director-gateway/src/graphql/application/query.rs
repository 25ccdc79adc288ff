//! Finding applications.

use async_graphql::{Context, ID, Lookahead, Object};

use super::{Application, ApplicationPage};
use crate::graphql::input::parse_id;
use crate::graphql::page::{self, LabelFilter, Parts, Wanted};
use crate::graphql::scalar::PageCursor;
use crate::graphql::{registry_of, tenant_of};
use crate::registry::application::Listing;
use crate::registry::cursor::{Page, Slice};
use crate::registry::whole::With;
use crate::registry::{Error, filter};

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
            .application(tenant, parse_id("id", &id)?, wanted(&ctx.look_ahead()))
            .await?;
        Ok(found.map(Application::whole))
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
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the arguments of the API"
    )]
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

/// What of an application the client wants to see.
fn wanted(application: &Lookahead<'_>) -> With {
    With {
        webhooks: application.field("webhooks").exists(),
        labels: application.field("labels").exists(),
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
