//! Finding applications.

use std::collections::{BTreeSet, HashMap};

use async_graphql::{Context, ID, Lookahead, Object};

use uuid::Uuid;

use super::{Application, ApplicationPage};
use crate::graphql::input::parse_id;
use crate::graphql::page::{self, LabelFilter, Parts, Wanted};
use crate::graphql::scalar::PageCursor;
use crate::graphql::template::ApplicationTemplate;
use crate::graphql::{registry_of, tenant_of};
use crate::registry::application::Listing;
use crate::registry::cursor::{Page, Slice};
use crate::registry::whole::With;
use crate::registry::{Error, Registry, filter};

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
        let (registry, id) = (registry_of(ctx), parse_id("id", &id)?);
        let selected = ctx.look_ahead();
        let found = registry.application(tenant, id, wanted(&selected)).await?;
        let Some(mut application) = found.map(Application::whole) else {
            return Ok(None);
        };
        add_templates(registry, &selected, std::slice::from_mut(&mut application)).await?;
        Ok(Some(application))
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

/// What of applications or of templates the client wants to see.
fn wanted(objects: &Lookahead<'_>) -> With {
    With {
        webhooks: objects.field("webhooks").exists(),
        labels: objects.field("labels").exists(),
    }
}

async fn list(ctx: &Context<'_>, listing: Listing, page: Page) -> Result<ApplicationPage, Error> {
    let registry = registry_of(ctx);
    let Wanted { rows, count } = Wanted::of(ctx);
    let data = ctx.look_ahead().field("data");
    let (slice, count) = if rows {
        let with = wanted(&data);
        registry.applications(&listing, &page, with, count).await?
    } else if count {
        let count = registry.count_applications(&listing).await?;
        (Slice::default(), Some(count))
    } else {
        (Slice::default(), None)
    };
    let count = count.unwrap_or_default();
    let mut parts = Parts::new(page, slice, count, Application::whole);
    add_templates(registry, &data, &mut parts.data).await?;
    Ok(parts.into())
}

/// Reads the templates of all applications at once, if they are selected.
async fn add_templates(
    registry: &Registry,
    selected: &Lookahead<'_>,
    applications: &mut [Application],
) -> Result<(), Error> {
    let template = selected.field("applicationTemplate");
    if !template.exists() {
        return Ok(());
    }
    let ids: BTreeSet<Uuid> = applications
        .iter()
        .filter_map(|application| application.model.application_template_id)
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = registry
        .templates_by_id(ids.into_iter().collect(), wanted(&template))
        .await?;
    let templates: HashMap<Uuid, ApplicationTemplate> = found
        .into_iter()
        .map(|(id, template)| (id, ApplicationTemplate::whole(template)))
        .collect();
    for application in applications {
        let id = application.model.application_template_id;
        application.template = id.and_then(|id| templates.get(&id).cloned());
    }
    Ok(())
}

fn empty(first: u64, after: Option<PageCursor>) -> ApplicationPage {
    let cursor = after.map(|cursor| cursor.0).unwrap_or_default();
    let page = Page {
        first,
        offset: 0,
        cursor,
    };
    Parts::new(page, Slice::default(), 0, Application::new).into()
}
