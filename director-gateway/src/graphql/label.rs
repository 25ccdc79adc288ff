//! Labels of applications.

use async_graphql::{Context, ID, Object, SimpleObject};

use super::input::parse_id;
use super::scalar::Any;
use super::validation::{self as rules, Fault, Faults};
use super::{registry_of, tenant_of};
use crate::registry::Error;

/// A label: a value under a key.
#[derive(SimpleObject)]
pub struct Label {
    pub key: String,
    pub value: Any,
}

/// What the values of a label must look like.
#[derive(SimpleObject)]
pub struct LabelDefinition {
    pub key: String,
}

#[derive(Default)]
pub struct LabelQuery;

#[Object]
impl LabelQuery {
    /// The tenant's definitions of labels.
    #[expect(
        clippy::unused_async,
        reason = "the macro wants every resolver asynchronous"
    )]
    async fn label_definitions(&self, ctx: &Context<'_>) -> Result<Vec<LabelDefinition>, Error> {
        // Only the formations of a tenant bring a definition, and there are none.
        tenant_of(ctx)?;
        Ok(Vec::new())
    }
}

#[derive(Default)]
pub struct LabelMutation;

#[Object]
impl LabelMutation {
    /// Sets a label of an application. The key has letters, digits and underscores, at most 256.
    async fn set_application_label(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "applicationID")] application_id: ID,
        key: String,
        value: Any,
    ) -> Result<Label, Error> {
        validate(&key, &value)?;
        let tenant = tenant_of(ctx)?.id;
        let id = parse_id("applicationID", &application_id)?;
        let registry = registry_of(ctx);
        registry
            .set_application_label(tenant, id, key.clone(), value.0.clone())
            .await?;
        Ok(Label { key, value })
    }

    /// Removes a label of an application, and gives it as it was.
    async fn delete_application_label(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "applicationID")] application_id: ID,
        key: String,
    ) -> Result<Label, Error> {
        let tenant = tenant_of(ctx)?.id;
        let id = parse_id("applicationID", &application_id)?;
        let value = registry_of(ctx)
            .delete_application_label(tenant, id, key.clone())
            .await?;
        Ok(Label {
            key,
            value: Any(value),
        })
    }
}

/// Checks a label that is to be set.
pub(crate) fn validate(key: &str, value: &Any) -> Result<(), Error> {
    let mut faults = Faults::default();
    faults.check("key", valid_key(key));
    faults.check("value", present(value));
    faults.of("LabelInput")
}

fn valid_key(key: &str) -> Result<(), Fault> {
    rules::required(key)?;
    rules::at_most(256, Some(key))?;
    Ok(rules::label_key(key)?)
}

fn present(value: &Any) -> Result<(), &'static str> {
    use serde_json::Value as Json;
    let is_blank = match &value.0 {
        Json::Null | Json::Bool(false) => true,
        Json::Bool(true) | Json::Number(_) => false,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => members.is_empty(),
    };
    if is_blank {
        Err("cannot be blank")
    } else {
        Ok(())
    }
}
