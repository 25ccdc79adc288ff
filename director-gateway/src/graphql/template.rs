//! Application templates: what many applications have in common.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use serde_json::Value as Json;

use super::input::{ApplicationRegisterInput, WebhookInput, parse_id};
use super::load::{LabelsOf, Loads, WebhooksOf};
use super::page::{self, LabelFilter, PageInfo, Parts, Wanted};
use super::placeholder::{self, PlaceholderDefinition, PlaceholderDefinitionInput};
use super::scalar::{Labels, PageCursor, Timestamp, enum_item, enum_name};
use super::validation::{self as rules, Fault, Faults};
use super::webhook::Webhook;
use super::{literal, registry_of};
use crate::registry::cursor::{Page, Slice};
use crate::registry::template::{Model, NewTemplate, OBJECT, TYPE_LABEL};
use crate::registry::{Error, filter};

/// Who may use a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ApplicationTemplateAccessLevel {
    Global,
}

/// An application to be registered, with placeholders as in `{{name}}`.
#[derive(Clone, Debug, InputObject)]
#[graphql(name = "ApplicationJSONInput")]
pub struct ApplicationJsonInput {
    #[graphql(flatten)]
    pub application: ApplicationRegisterInput,
}

/// A template to be made.
#[derive(Clone, Debug, InputObject)]
pub struct ApplicationTemplateInput {
    /// Printable ASCII, from 1 to 100 characters. Unique per value of the label `region`.
    pub name: String,
    /// Webhooks of all applications made from the template that have none of the type themselves.
    pub webhooks: Option<Vec<WebhookInput>>,
    /// At most 2000 characters.
    pub description: Option<String>,
    pub labels: Option<Labels>,
    pub application_input: ApplicationJsonInput,
    /// Exactly the placeholders that `applicationInput` uses.
    pub placeholders: Option<Vec<PlaceholderDefinitionInput>>,
    pub access_level: ApplicationTemplateAccessLevel,
    /// From 1 to 256 characters.
    pub application_namespace: Option<String>,
}

/// What replaces a template.
#[derive(Clone, Debug, InputObject)]
pub struct ApplicationTemplateUpdateInput {
    /// Printable ASCII, from 1 to 100 characters. Unique per value of the label `region`.
    pub name: String,
    /// Webhooks of all applications made from the template that have none of the type themselves.
    pub webhooks: Option<Vec<WebhookInput>>,
    /// At most 2000 characters.
    pub description: Option<String>,
    pub application_input: ApplicationJsonInput,
    /// Exactly the placeholders that `applicationInput` uses.
    pub placeholders: Option<Vec<PlaceholderDefinitionInput>>,
    /// Added to the labels, or put in their place.
    pub labels: Option<Labels>,
    pub access_level: ApplicationTemplateAccessLevel,
    /// From 1 to 256 characters.
    pub application_namespace: Option<String>,
}

impl From<ApplicationTemplateUpdateInput> for ApplicationTemplateInput {
    fn from(input: ApplicationTemplateUpdateInput) -> Self {
        let ApplicationTemplateUpdateInput {
            name,
            webhooks,
            description,
            application_input,
            placeholders,
            labels,
            access_level,
            application_namespace,
        } = input;
        Self {
            name,
            webhooks,
            description,
            labels,
            application_input,
            placeholders,
            access_level,
            application_namespace,
        }
    }
}

impl ApplicationTemplateInput {
    fn validate(&self, input: &'static str) -> Result<(), Error> {
        let application = &self.application_input.application;
        let placeholders = self.placeholders.as_deref().unwrap_or_default();
        let mut faults = Faults::default();
        faults.check(
            "Rule.ValidPlaceholders",
            placeholder::valid(placeholders, application),
        );
        faults.check(
            "appInput",
            application.faults("in.applicationInput")?.nested(),
        );
        faults.check("name", rules::template_name(&self.name));
        faults.check(
            "description",
            rules::at_most(2000, self.description.as_deref()),
        );
        faults.check("placeholders", placeholder::each_valid(placeholders));
        faults.check("webhooks", first_refused(self.webhooks.as_deref()));
        let namespace = self.application_namespace.as_deref().unwrap_or_default();
        faults.check(
            "applicationNamespace",
            rules::from_one_to(256, namespace.len()),
        );
        faults.of(input)?;
        self.check_provider()
    }

    /// Templates of one provider have its name.
    fn check_provider(&self) -> Result<(), Error> {
        let is_sap = self.application_input.application.provider_name.as_deref() == Some("SAP");
        let rest = self.name.strip_prefix("SAP");
        if is_sap && !rest.is_some_and(|rest| rest.starts_with(char::is_whitespace)) {
            return Err(Error::Refused(format!(
                "application template name {:?} does not comply with the following naming \
                 convention: \"SAP <product name>\"",
                self.name
            )));
        }
        Ok(())
    }

    fn template(self) -> Result<NewTemplate, Error> {
        let Self {
            name,
            webhooks,
            description,
            labels,
            application_input: ApplicationJsonInput { application },
            placeholders,
            access_level,
            application_namespace,
        } = self;
        let labels = labels
            .map(|labels| labels.map("in.labels"))
            .transpose()?
            .unwrap_or_default();
        let webhooks = webhooks.unwrap_or_default();
        refuse_versions(&webhooks)?;
        Ok(NewTemplate {
            application_input: with_type(application, &name)?,
            name,
            description,
            application_namespace,
            placeholders: placeholders
                .unwrap_or_default()
                .into_iter()
                .map(Into::into)
                .collect(),
            access_level: enum_name(access_level),
            labels,
            webhooks: webhooks.into_iter().map(Into::into).collect(),
        })
    }
}

/// The first webhook that is refused speaks for all.
fn first_refused(webhooks: Option<&[WebhookInput]>) -> Result<(), Fault> {
    for webhook in webhooks.unwrap_or_default() {
        webhook.validate()?;
    }
    Ok(())
}

/// A version stands for webhooks of a configuration, and there is none.
fn refuse_versions(webhooks: &[WebhookInput]) -> Result<(), Error> {
    let Some(webhook) = webhooks.iter().find(|webhook| webhook.version.is_some()) else {
        return Ok(());
    };
    let (Some(_), Some(mode)) = (&webhook.url, webhook.mode) else {
        let text = "url and mode are required fields when version is provided";
        return Err(Error::Refused(text.to_owned()));
    };
    let mode = enum_name(mode);
    Err(Error::Refused(format!(
        "missing tenant mapping configuration for mode {mode}"
    )))
}

/// The input as JSON text, with the template's name as the application's type.
fn with_type(mut application: ApplicationRegisterInput, name: &str) -> Result<String, Error> {
    let mut labels = application.labels("in.applicationInput")?;
    labels
        .entry(TYPE_LABEL.to_owned())
        .or_insert_with(|| Json::from(name));
    application.labels = Some(Labels::of(&labels, None));
    serde_json::to_string(&application).map_err(|error| Error::InvalidData(error.to_string()))
}

/// What many applications have in common.
pub struct ApplicationTemplate(pub Model);

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
        self.0.id.into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    async fn webhooks(&self, ctx: &Context<'_>) -> Result<Option<Vec<Webhook>>, Arc<Error>> {
        let of = WebhooksOf::Template(self.0.id);
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
        literal::application_input(&self.0.application_input)
    }

    async fn placeholders(&self) -> Vec<PlaceholderDefinition> {
        self.0
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
        let of = LabelsOf::Template(self.0.id);
        let labels = ctx
            .data_unchecked::<Loads>()
            .load_one(of)
            .await?
            .unwrap_or_default();
        Ok(Some(Labels::of(&labels, key.as_deref())))
    }

    async fn access_level(&self) -> ApplicationTemplateAccessLevel {
        let level = enum_item(&self.0.access_level);
        level.unwrap_or(ApplicationTemplateAccessLevel::Global)
    }

    async fn application_namespace(&self) -> Option<&str> {
        self.0.application_namespace.as_deref()
    }

    async fn created_at(&self) -> Timestamp {
        Timestamp(self.0.created_at)
    }

    async fn updated_at(&self) -> Timestamp {
        Timestamp(self.0.updated_at)
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
        let parts = Parts::new(page, slice, count, ApplicationTemplate);
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
            .map(|template| Some(ApplicationTemplate(template)))
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
            .map(ApplicationTemplate)
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
            .map(ApplicationTemplate)
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
            .map(ApplicationTemplate)
    }
}
