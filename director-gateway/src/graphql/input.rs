//! Inputs about applications and webhooks.

use async_graphql::{Enum, ID, InputObject};
use binnacle_domain::webhook as domain;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::scalar::{Labels, enum_name};
use super::validation::{self as rules, Fault, Faults};
use crate::registry::Error;
use crate::registry::application::{Change, NewApplication};
use crate::registry::label::Labels as LabelMap;
use crate::registry::webhook::NewWebhook;

/// How an application is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplicationStatusCondition {
    Initial,
    Connected,
    Failed,
    Creating,
    CreateFailed,
    CreateSucceeded,
    Updating,
    UpdateFailed,
    UpdateSucceeded,
    Deleting,
    DeleteFailed,
    DeleteSucceeded,
    Unpairing,
    UnpairFailed,
}

/// The occasion on which a webhook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(remote = "domain::WebhookType")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookType {
    ConfigurationChanged,
    ApplicationTenantMapping,
    RegisterApplication,
    UnregisterApplication,
    OpenResourceDiscovery,
    OpenResourceDiscoveryStatic,
    FormationLifecycle,
    SystemFieldDiscovery,
}

/// How the called system says that it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize, Deserialize)]
#[graphql(remote = "domain::WebhookMode")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookMode {
    /// By its answer to the call.
    Sync,
    /// By its answers to polls of the location that its answer to the call names.
    Async,
    /// By calling back; only for webhooks of formations.
    AsyncCallback,
}

/// A webhook: how another system is told of a change.
#[derive(Clone, Debug, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookInput {
    #[graphql(name = "type")]
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// At most 256 characters. Either this or `urlTemplate`.
    #[serde(default)]
    pub url: Option<String>,
    #[serde(default)]
    pub mode: Option<WebhookMode>,
    /// Kept for existing clients; it changes nothing.
    #[serde(default)]
    pub version: Option<String>,
    /// The name of the header that carries the operation's correlation id. At most 256 characters.
    #[serde(default)]
    pub correlation_id_key: Option<String>,
    /// Seconds between two attempts or polls.
    #[serde(default)]
    pub retry_interval: Option<i32>,
    /// Seconds from the first call until the webhook has failed.
    #[serde(default)]
    pub timeout: Option<i32>,
    #[serde(default)]
    pub url_template: Option<String>,
    #[serde(default)]
    pub input_template: Option<String>,
    #[serde(default)]
    pub header_template: Option<String>,
    #[serde(default)]
    pub output_template: Option<String>,
    #[serde(default)]
    pub status_template: Option<String>,
}

impl WebhookInput {
    /// Checks everything that can be known before the first call.
    pub(crate) fn validate(&self) -> Result<(), domain::Invalid> {
        let Self {
            kind,
            url,
            mode,
            version: _,
            correlation_id_key,
            retry_interval,
            timeout,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
        } = self.clone();
        domain::Input {
            kind: kind.into(),
            mode: mode.map(Into::into),
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
            correlation_id_key,
            retry_interval: retry_interval.map(i64::from),
            timeout: timeout.map(i64::from),
        }
        .validate()
    }
}

impl From<WebhookInput> for NewWebhook {
    fn from(input: WebhookInput) -> Self {
        let WebhookInput {
            kind,
            url,
            mode,
            version: _,
            correlation_id_key,
            retry_interval,
            timeout,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
        } = input;
        Self {
            kind: kind.into(),
            mode: mode.map(Into::into),
            correlation_id_key,
            retry_interval,
            timeout,
            url,
            url_template,
            input_template,
            header_template,
            output_template,
            status_template,
        }
    }
}

/// An application to be registered.
#[derive(Clone, Debug, InputObject, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationRegisterInput {
    /// From 1 to 100 characters. Unique in the tenant, whatever the case and the punctuation.
    pub name: String,
    /// At most 256 characters.
    #[serde(default)]
    pub provider_name: Option<String>,
    /// At most 2000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// Keys are letters, digits and underscores.
    #[serde(default)]
    pub labels: Option<Labels>,
    #[serde(default)]
    pub webhooks: Option<Vec<WebhookInput>>,
    /// A URL with its scheme, at most 256 characters.
    #[graphql(name = "healthCheckURL")]
    #[serde(rename = "healthCheckURL", default)]
    pub health_check_url: Option<String>,
    #[serde(default)]
    pub base_url: Option<String>,
    /// At most 256 characters.
    #[serde(default)]
    pub application_namespace: Option<String>,
    #[graphql(name = "integrationSystemID")]
    #[serde(rename = "integrationSystemID", default)]
    pub integration_system_id: Option<ID>,
    /// Without it, `INITIAL`.
    #[serde(default)]
    pub status_condition: Option<ApplicationStatusCondition>,
    /// What the system calls the tenant that it serves. At most 256 characters.
    #[graphql(name = "localTenantID")]
    #[serde(rename = "localTenantID", default)]
    pub local_tenant_id: Option<String>,
}

impl ApplicationRegisterInput {
    /// What is wrong with it; `argument` is its path below the field.
    pub(crate) fn faults(&self, argument: &str) -> Result<Faults, Error> {
        let mut faults = Faults::default();
        faults.check("name", name(&self.name));
        faults.check(
            "providerName",
            rules::at_most(256, self.provider_name.as_deref()),
        );
        faults.check(
            "description",
            rules::at_most(2000, self.description.as_deref()),
        );
        faults.check("labels", rules::label_keys(&self.labels(argument)?));
        faults.check(
            "healthCheckURL",
            rules::url(self.health_check_url.as_deref()),
        );
        faults.check("webhooks", webhooks(self.webhooks.as_deref()));
        Ok(faults)
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        self.faults("in")?.of("ApplicationRegisterInput")
    }

    pub(crate) fn labels(&self, argument: &str) -> Result<LabelMap, Error> {
        match &self.labels {
            Some(labels) => labels.map(&format!("{argument}.labels")),
            None => Ok(LabelMap::new()),
        }
    }

    /// The application that it describes, once it is known to be sound.
    pub(crate) fn application(
        self,
        labels: LabelMap,
        application_template_id: Option<Uuid>,
    ) -> NewApplication {
        let Self {
            name,
            provider_name,
            description,
            labels: _,
            webhooks,
            health_check_url,
            base_url,
            application_namespace,
            integration_system_id,
            status_condition,
            local_tenant_id,
        } = self;
        NewApplication {
            name,
            provider_name,
            description,
            health_check_url,
            base_url,
            application_namespace,
            integration_system_id: integration_system_id.map(|id| id.0),
            local_tenant_id,
            status_condition: status_condition.map(enum_name),
            application_template_id,
            labels,
            webhooks: webhooks
                .unwrap_or_default()
                .into_iter()
                .map(Into::into)
                .collect(),
        }
    }
}

fn name(name: &str) -> Result<(), Fault> {
    rules::required(name)?;
    Ok(rules::from_one_to(100, name.chars().count())?)
}

fn webhooks(webhooks: Option<&[WebhookInput]>) -> Result<(), Fault> {
    let mut faults = Faults::default();
    for (at, webhook) in webhooks.unwrap_or_default().iter().enumerate() {
        faults.check(at.to_string(), webhook.validate());
    }
    faults.nested()
}

/// What is to change of an application. What is absent or null stays as it is.
#[derive(Clone, Debug, InputObject)]
pub struct ApplicationUpdateInput {
    /// At most 256 characters.
    pub provider_name: Option<String>,
    /// At most 2000 characters.
    pub description: Option<String>,
    /// A URL with its scheme, at most 256 characters.
    #[graphql(name = "healthCheckURL")]
    pub health_check_url: Option<String>,
    pub base_url: Option<String>,
    /// At most 256 characters.
    pub application_namespace: Option<String>,
    #[graphql(name = "integrationSystemID")]
    pub integration_system_id: Option<ID>,
    /// Without it the status becomes `INITIAL`.
    pub status_condition: Option<ApplicationStatusCondition>,
    /// What the system calls the tenant that it serves. At most 256 characters.
    #[graphql(name = "localTenantID")]
    pub local_tenant_id: Option<String>,
}

impl ApplicationUpdateInput {
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let mut faults = Faults::default();
        faults.check(
            "providerName",
            rules::at_most(256, self.provider_name.as_deref()),
        );
        faults.check(
            "description",
            rules::at_most(2000, self.description.as_deref()),
        );
        faults.check(
            "healthCheckURL",
            rules::url(self.health_check_url.as_deref()),
        );
        faults.of("ApplicationUpdateInput")
    }
}

impl From<ApplicationUpdateInput> for Change {
    fn from(input: ApplicationUpdateInput) -> Self {
        let ApplicationUpdateInput {
            provider_name,
            description,
            health_check_url,
            base_url,
            application_namespace,
            integration_system_id,
            status_condition,
            local_tenant_id,
        } = input;
        Self {
            provider_name,
            description,
            health_check_url,
            base_url,
            application_namespace,
            integration_system_id: integration_system_id.map(|id| id.0),
            local_tenant_id,
            status_condition: status_condition.map(enum_name),
        }
    }
}

/// The id in `id`, which the client calls `argument`.
pub(crate) fn parse_id(argument: &str, id: &ID) -> Result<Uuid, Error> {
    Uuid::parse_str(id).map_err(|_| Error::InvalidData(format!("{argument} is not a UUID")))
}
