//! The inputs of templates.

use async_graphql::InputObject;
use serde_json::Value as Json;

use super::ApplicationTemplateAccessLevel;
use crate::graphql::input::{ApplicationRegisterInput, WebhookInput};
use crate::graphql::placeholder::{self, PlaceholderDefinitionInput};
use crate::graphql::scalar::{Labels, enum_name};
use crate::graphql::validation::{self as rules, Fault, Faults};
use crate::registry::Error;
use crate::registry::template::{NewTemplate, TYPE_LABEL};

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
    pub(super) fn validate(&self, input: &'static str) -> Result<(), Error> {
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

    pub(super) fn template(self) -> Result<NewTemplate, Error> {
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
