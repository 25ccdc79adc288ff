//! Application templates: what many applications have in common.

mod input;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, SimpleObject};

use super::input::parse_id;
use super::load::{LabelsOf, Loads, WebhooksOf};
use super::page::{self, LabelFilter, PageInfo, Parts, Wanted};
use super::placeholder::PlaceholderDefinition;
use super::scalar::{Labels, PageCursor, Timestamp, enum_item};
use super::webhook::Webhook;
use super::{literal, registry_of};
use crate::registry::cursor::{Page, Slice};
use crate::registry::label::Labels as LabelMap;
use crate::registry::template::{Model, OBJECT};
use crate::registry::whole::WholeTemplate;
use crate::registry::{Error, filter};

pub use input::{ApplicationJsonInput, ApplicationTemplateInput, ApplicationTemplateUpdateInput};

/// Who may use a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ApplicationTemplateAccessLevel {
    Global,
}

/// What many applications have in common.
#[derive(Clone)]
pub struct ApplicationTemplate {
    model: Arc<Model>,
    /// What was read with it; the rest is read when it is asked for.
    labels: Option<LabelMap>,
    webhooks: Option<Vec<Webhook>>,
}

impl ApplicationTemplate {
    fn new(model: Model) -> Self {
        Self {
            model: Arc::new(model),
            labels: None,
            webhooks: None,
        }
    }

    pub(crate) fn whole(whole: WholeTemplate) -> Self {
        let WholeTemplate {
            template,
            webhooks,
            labels,
        } = whole;
        let webhooks = webhooks.map(|all| all.into_iter().map(Webhook::from).collect());
        Self {
            labels,
            webhooks,
            ..Self::new(template)
        }
    }
}

/// A page of templates.
#[derive(SimpleObject)]
pub struct ApplicationTemplatePage {
    pub data: Vec<ApplicationTemplate>,
    pub page_info: PageInfo,
    pub total_count: u64,
}

#[Object]
impl ApplicationTemplate {
    async fn id(&self) -> ID {
        self.model.id.into()
    }

    async fn name(&self) -> &str {
        &self.model.name
    }

    async fn description(&self) -> Option<&str> {
        self.model.description.as_deref()
    }

    async fn webhooks(&self, ctx: &Context<'_>) -> Result<Option<Vec<Webhook>>, Arc<Error>> {
        if let Some(webhooks) = &self.webhooks {
            return Ok(Some(webhooks.clone()));
        }
        let of = WebhooksOf::Template(self.model.id);
        let webhooks = ctx
            .data_unchecked::<Loads>()
            .load_one(of)
            .await?
            .unwrap_or_default();
        Ok(Some(webhooks.into_iter().map(Webhook::from).collect()))
    }

    /// The input of a registration, as a literal of GraphQL with placeholders.
    #[expect(
        clippy::unused_async,
        reason = "the macro wants every resolver asynchronous"
    )]
    async fn application_input(&self) -> Result<String, Error> {
        literal::application_input(&self.model.application_input)
    }

    async fn placeholders(&self) -> Vec<PlaceholderDefinition> {
        self.model
            .placeholders
            .0
            .iter()
            .cloned()
            .map(Into::into)
            .collect()
    }

    /// Its labels, or the one under `key`.
    async fn labels(
        &self,
        ctx: &Context<'_>,
        key: Option<String>,
    ) -> Result<Option<Labels>, Arc<Error>> {
        if let Some(labels) = &self.labels {
            return Ok(Some(Labels::of(labels, key.as_deref())));
        }
        let of = LabelsOf::Template(self.model.id);
        let loaded = ctx.data_unchecked::<Loads>().load_one(of).await?;
        let labels = loaded.unwrap_or_default();
        Ok(Some(Labels::of(&labels, key.as_deref())))
    }

    async fn access_level(&self) -> ApplicationTemplateAccessLevel {
        let level = enum_item(&self.model.access_level);
        level.unwrap_or(ApplicationTemplateAccessLevel::Global)
    }

    async fn application_namespace(&self) -> Option<&str> {
        self.model.application_namespace.as_deref()
    }

    async fn created_at(&self) -> Timestamp {
        Timestamp(self.model.created_at)
    }

    async fn updated_at(&self) -> Timestamp {
        Timestamp(self.model.updated_at)
    }
}

#[derive(Default)]
pub struct TemplateQuery;

#[Object]
impl TemplateQuery {
    /// The templates that pass all filters, by id.
    async fn application_templates(
        &self,
        ctx: &Context<'_>,
        filter: Option<Vec<LabelFilter>>,
        #[graphql(default_with = "Some(200)")] first: Option<i32>,
        after: Option<PageCursor>,
    ) -> Result<ApplicationTemplatePage, Error> {
        let first = page::size(first)?;
        let tests = filter::for_templates(&page::filters(filter))?;
        let page = Page::after(first, after.map(|cursor| cursor.0))?;
        let registry = registry_of(ctx);
        let wanted = Wanted::of(ctx);
        let slice = if wanted.rows {
            registry.templates(&tests, &page).await?
        } else {
            Slice {
                rows: Vec::new(),
                has_next: false,
            }
        };
        let count = if wanted.count {
            registry.count_templates(&tests).await?
        } else {
            0
        };
        let parts = Parts::new(page, slice, count, ApplicationTemplate::new);
        let Parts {
            data,
            page_info,
            total_count,
        } = parts;
        Ok(ApplicationTemplatePage {
            data,
            page_info,
            total_count,
        })
    }

    /// A template.
    async fn application_template(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<ApplicationTemplate>, Error> {
        let found = registry_of(ctx).template(parse_id("id", &id)?).await?;
        found
            .map(|template| Some(ApplicationTemplate::new(template)))
            .ok_or(Error::not_found(OBJECT))
    }
}

#[derive(Default)]
pub struct TemplateMutation;

#[Object]
impl TemplateMutation {
    /// Makes a template.
    async fn create_application_template(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: ApplicationTemplateInput,
    ) -> Result<ApplicationTemplate, Error> {
        input.validate("ApplicationTemplateInput")?;
        registry_of(ctx)
            .create_template(input.template()?)
            .await
            .map(ApplicationTemplate::new)
    }

    /// Replaces a template. Its webhooks stay if the input has none, unless `override` is true.
    async fn update_application_template(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(name = "override")] replace_webhooks: Option<bool>,
        #[graphql(name = "in")] input: ApplicationTemplateUpdateInput,
    ) -> Result<ApplicationTemplate, Error> {
        let input = ApplicationTemplateInput::from(input);
        input.validate("ApplicationTemplateUpdateInput")?;
        let new = input.template()?;
        let id = parse_id("id", &id)?;
        let replace = replace_webhooks.unwrap_or_default();
        registry_of(ctx)
            .update_template(id, new, replace)
            .await
            .map(ApplicationTemplate::new)
    }

    /// Removes a template that no application was made from, and gives it as it was.
    async fn delete_application_template(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<ApplicationTemplate, Error> {
        let id = parse_id("id", &id)?;
        registry_of(ctx)
            .delete_template(id)
            .await
            .map(ApplicationTemplate::new)
    }
}
