//! Placeholders of templates, and the applications that are made by filling them in.

mod path;

use async_graphql::{Context, ID, InputObject, SimpleObject};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::input::{ApplicationRegisterInput, parse_id};
use super::scalar::Labels;
use super::validation::{self as rules, Fault, Faults};
use super::{Options, registry_of, tenant_of};
use crate::registry::label::Labels as LabelMap;
use crate::registry::template::{Model, Placeholder};
use crate::registry::{Error, application};

/// A part of a template's input that the registration gives.
#[derive(Clone, Debug, SimpleObject)]
pub struct PlaceholderDefinition {
    pub name: String,
    pub description: Option<String>,
    /// Where a payload has the value.
    pub json_path: Option<String>,
    /// Whether it may be left out; it is then empty.
    pub optional: Option<bool>,
}

impl From<Placeholder> for PlaceholderDefinition {
    fn from(placeholder: Placeholder) -> Self {
        let Placeholder {
            name,
            description,
            json_path,
            optional,
        } = placeholder;
        Self {
            name,
            description,
            json_path,
            optional,
        }
    }
}

/// A part of a template's input that the registration gives.
#[derive(Clone, Debug, InputObject)]
pub struct PlaceholderDefinitionInput {
    /// A DNS name that does not start with a digit, at most 36 characters.
    pub name: String,
    /// At most 2000 characters.
    pub description: Option<String>,
    /// Where a payload has the value, as in `$.system.name`. At most 2000 characters.
    pub json_path: Option<String>,
    /// Whether it may be left out; it is then empty.
    #[graphql(default_with = "Some(false)")]
    pub optional: Option<bool>,
}

impl From<PlaceholderDefinitionInput> for Placeholder {
    fn from(input: PlaceholderDefinitionInput) -> Self {
        let PlaceholderDefinitionInput {
            name,
            description,
            json_path,
            optional,
        } = input;
        Self {
            name,
            description,
            json_path,
            optional,
        }
    }
}

/// A value for a placeholder.
#[derive(Clone, Debug, InputObject)]
pub struct TemplateValueInput {
    pub placeholder: String,
    /// At most 128 characters.
    pub value: String,
}

/// An application to be made from a template.
#[derive(Clone, Debug, InputObject)]
pub struct ApplicationFromTemplateInput {
    /// Of several templates of the name, the one meant.
    pub id: Option<ID>,
    pub template_name: String,
    /// Either these or `placeholdersPayload`.
    pub values: Option<Vec<Option<TemplateValueInput>>>,
    /// JSON text that has the values where the placeholders' paths say.
    pub placeholders_payload: Option<String>,
    /// Labels that the application gets beside the template's.
    pub labels: Option<Labels>,
}

impl ApplicationFromTemplateInput {
    fn validate(&self) -> Result<(), Error> {
        let values = self.values.as_deref().unwrap_or_default();
        let mut faults = Faults::default();
        let either = self.placeholders_payload.is_some() == values.is_empty();
        let one_of = "one of values or placeholdersPayload should be provided";
        faults.check(
            "Rule.EitherPlaceholdersOrPlaceholdersPayloadExists",
            if either { Ok(()) } else { Err(one_of) },
        );
        let names = values
            .iter()
            .flatten()
            .map(|value| value.placeholder.as_str());
        faults.check("Rule.UniquePlaceholders", unique(names));
        faults.check("templateName", rules::template_name(&self.template_name));
        let mut each = Faults::default();
        for (at, value) in values.iter().enumerate() {
            each.check(at.to_string(), valid_value(value.as_ref()));
        }
        faults.check("values", each.nested());
        faults.of("ApplicationFromTemplateInput")
    }
}

fn valid_value(value: Option<&TemplateValueInput>) -> Result<(), Fault> {
    let Some(TemplateValueInput { placeholder, value }) = value else {
        return Err("cannot be blank".into());
    };
    let mut faults = Faults::default();
    faults.check("placeholder", rules::dns_name(placeholder));
    faults.check("value", rules::at_most(128, Some(value)));
    faults.nested()
}

fn unique<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), String> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(format!("placeholder [name={name}] not unique"));
        }
        seen.push(name);
    }
    Ok(())
}

/// Checks each definition by itself.
pub(crate) fn each_valid(placeholders: &[PlaceholderDefinitionInput]) -> Result<(), Fault> {
    let mut each = Faults::default();
    for (at, placeholder) in placeholders.iter().enumerate() {
        let mut faults = Faults::default();
        faults.check("name", rules::dns_name(&placeholder.name));
        faults.check(
            "description",
            rules::at_most(2000, placeholder.description.as_deref()),
        );
        faults.check(
            "jsonPath",
            rules::at_most(2000, placeholder.json_path.as_deref()),
        );
        each.check(at.to_string(), faults.nested());
    }
    each.nested()
}

/// Checks that the definitions are exactly what the input uses.
pub(crate) fn valid(
    placeholders: &[PlaceholderDefinitionInput],
    application: &ApplicationRegisterInput,
) -> Result<(), String> {
    let names = || {
        placeholders
            .iter()
            .map(|placeholder| placeholder.name.as_str())
    };
    let text = |input| serde_json::to_string(&input).map_err(|error| error.to_string());
    unique(names())?;
    let whole = text(application.clone())?;
    if let Some(name) = names().find(|name| !whole.contains(&format!("{{{{{name}}}}}"))) {
        return Err(format!(
            "application input does not use provided placeholder [name={name}]"
        ));
    }
    let without_templates = text(without_webhook_templates(application.clone()))?;
    for name in used(&without_templates) {
        if name.is_empty() {
            return Err("Empty placeholder [name=] provided in the Application Input".to_owned());
        }
        if !names().any(|defined| defined == name) {
            return Err(format!(
                "Placeholder [name={name}] is used in the application input but it is not defined \
                 in the Placeholders array"
            ));
        }
    }
    Ok(())
}

/// Templates of webhooks have braces of their own.
fn without_webhook_templates(mut input: ApplicationRegisterInput) -> ApplicationRegisterInput {
    for webhook in input.webhooks.iter_mut().flatten() {
        webhook.url_template = None;
        webhook.input_template = None;
        webhook.header_template = None;
        webhook.output_template = None;
        webhook.status_template = None;
    }
    input
}

/// What stands between double braces, without dots and braces.
fn used(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let inner = &rest[at + 2..];
        let end = inner.find(['.', '}']).unwrap_or(inner.len());
        if inner[end..].starts_with("}}") {
            names.push(&inner[..end]);
            rest = &inner[end + 2..];
        } else {
            rest = &rest[at + 1..];
        }
    }
    names
}

/// Makes an application from a template.
pub(crate) async fn register(
    ctx: &Context<'_>,
    input: ApplicationFromTemplateInput,
) -> Result<application::Model, Error> {
    input.validate()?;
    let own_labels = match &input.labels {
        Some(labels) => labels.map("in.labels")?,
        None => LabelMap::new(),
    };
    let name = &input.template_name;
    let template = find(ctx, name, input.id.as_ref()).await?;
    let values = if let Some(payload) = &input.placeholders_payload {
        path::values(&template.placeholders.0, payload)?
    } else {
        let values = input.values.into_iter().flatten().flatten();
        values
            .map(|value| (value.placeholder, value.value))
            .collect()
    };
    let filled = fill(&template, &values).map_err(|error| {
        error.during(&format!(
            "while preparing ApplicationCreateInput JSON from Application Template with name {name}"
        ))
    })?;
    filled.validate()?;
    let mut labels = filled.labels("in")?;
    labels
        .entry("managed".to_owned())
        .or_insert_with(|| Json::from("false"));
    labels.extend(own_labels);
    let tenant = tenant_of(ctx)?.id;
    let doing = format!(
        "while creating an Application with name {} from Application Template with name {name}",
        filled.name
    );
    let new = filled.application(labels, Some(template.id));
    registry_of(ctx)
        .register(tenant, new)
        .await
        .map_err(|error| error.during(&doing))
}

async fn find(ctx: &Context<'_>, name: &str, id: Option<&ID>) -> Result<Model, Error> {
    let user = &ctx.data_unchecked::<Options>().user;
    let consumer = || {
        let hash = Sha256::digest(user.as_bytes());
        hash.iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let registry = registry_of(ctx);
    if let Some(id) = id {
        let found = registry.template(parse_id("id", id)?).await?;
        return found
            .filter(|template| template.name == name)
            .ok_or_else(|| {
                Error::Refused(format!(
                    "application template with id {} and consumer id REDACTED_{} not found",
                    id.0,
                    consumer()
                ))
            });
    }
    let mut templates = registry.templates_for_everybody(name).await?;
    if templates.len() > 1 {
        let count = templates.len();
        let text = format!("unexpected number of application templates. found {count}");
        return Err(Error::Refused(text));
    }
    templates.pop().ok_or_else(|| {
        Error::Refused(format!(
            "application template with name {name:?} and consumer id REDACTED_{} not found",
            consumer()
        ))
    })
}

fn fill(template: &Model, values: &[(String, String)]) -> Result<ApplicationRegisterInput, Error> {
    let unreadable = |error: serde_json::Error| Error::Refused(error.to_string());
    let mut input: Json = serde_json::from_str(&template.application_input).map_err(unreadable)?;
    for placeholder in &template.placeholders.0 {
        let name = &placeholder.name;
        let given = values
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str());
        if given.is_none() && placeholder.optional != Some(true) {
            return Err(Error::Refused(format!(
                "required placeholder not provided: value for placeholder name '{name}' not found"
            )));
        }
        let value = given.unwrap_or_default();
        check_value(name, value)?;
        let label = label_of(&input, name);
        replace(&mut input, &format!("{{{{{name}}}}}"), value);
        if let Some(key) = label
            && let Some(labels) = input.get_mut("labels").and_then(Json::as_object_mut)
            && labels.get(&key).and_then(Json::as_str) == Some("")
        {
            labels.remove(&key);
        }
    }
    serde_json::from_value(input).map_err(unreadable)
}

/// Nobody may pass for one provider.
fn check_value(name: &str, value: &str) -> Result<(), Error> {
    const PROVIDER: &str = "SAP";
    let refused = match name {
        "provider" if value.split_whitespace().any(|word| word == PROVIDER) => {
            "provider cannot contain \"SAP\""
        }
        "application-type" => {
            let head = value.get(..4).unwrap_or(value);
            let head = if value.len() >= 4 {
                head.trim_matches([' ', '\t', '\n'])
            } else {
                head
            };
            if head != PROVIDER {
                return Ok(());
            }
            "your application type cannot start with \"SAP\""
        }
        _ => return Ok(()),
    };
    Err(Error::Refused(format!(
        "value of placeholder is invalid: {refused}"
    )))
}

/// The label that is nothing but the placeholder. It goes when the value is empty.
fn label_of(input: &Json, placeholder: &str) -> Option<String> {
    let labels = input.get("labels")?.as_object()?;
    let is_it = |value: &Json| {
        let text = value.as_str().unwrap_or_default().trim();
        let text = text.strip_prefix("{{").unwrap_or(text);
        text.strip_suffix("}}").unwrap_or(text).trim() == placeholder
    };
    labels
        .iter()
        .find(|(_, value)| is_it(value))
        .map(|(key, _)| key.clone())
}

/// Puts `value` in the place of `pattern` in every text, keys as well. Whatever is in the value
/// stays text.
fn replace(json: &mut Json, pattern: &str, value: &str) {
    match json {
        Json::String(text) => *text = text.replace(pattern, value),
        Json::Array(items) => items
            .iter_mut()
            .for_each(|item| replace(item, pattern, value)),
        Json::Object(members) => {
            *members = std::mem::take(members)
                .into_iter()
                .map(|(key, mut member)| {
                    replace(&mut member, pattern, value);
                    (key.replace(pattern, value), member)
                })
                .collect();
        }
        _ => {}
    }
}
