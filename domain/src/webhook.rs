//! A webhook: how another system is told of a change, and what its answer means.
//!
//! Everything here is a pure function of the definition, of the operation's request object and of
//! the answer. Whoever makes the HTTP exchange asks [`request`] or [`poll_request`] what to send
//! and [`interpret_call`] or [`interpret_poll`] what to make of the answer, so a repeat of a call
//! carries the same bytes and a repeat of an answer the same conclusion.

mod call;
pub mod go_url;
mod input;
mod rendered;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use call::{
    Answer, Decision, Error, HttpRequest, Response, interpret_call, interpret_poll, poll_request,
    request,
};
pub use input::{Input, Invalid};
pub use rendered::{Output, Rendering, Status, Target};
#[cfg(test)]
pub(crate) use rendered::{body, headers};

/// The definition of a webhook as an operation carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Webhook {
    pub id: Uuid,
    #[serde(rename = "type")]
    pub kind: WebhookType,
    /// None means the same as [`WebhookMode::Sync`].
    pub mode: Option<WebhookMode>,
    pub url: Option<String>,
    pub url_template: Option<String>,
    pub input_template: Option<String>,
    pub header_template: Option<String>,
    pub output_template: Option<String>,
    pub status_template: Option<String>,
    /// The name of the header that carries the operation's correlation id.
    pub correlation_id_key: Option<String>,
    /// Seconds between two attempts or polls.
    pub retry_interval: Option<u32>,
    /// Seconds from the first call until the webhook has failed.
    pub timeout: Option<u32>,
}

impl Webhook {
    /// The system that it calls: host and port of its URL, or the template where that is rendered.
    pub fn destination(&self) -> &str {
        match (&self.url, &self.url_template) {
            (Some(url), _) => authority(url),
            (None, Some(template)) => template,
            (None, None) => "",
        }
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// The occasion on which a webhook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl WebhookType {
    pub const ALL: [Self; 8] = [
        Self::ConfigurationChanged,
        Self::ApplicationTenantMapping,
        Self::RegisterApplication,
        Self::UnregisterApplication,
        Self::OpenResourceDiscovery,
        Self::OpenResourceDiscoveryStatic,
        Self::FormationLifecycle,
        Self::SystemFieldDiscovery,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigurationChanged => "CONFIGURATION_CHANGED",
            Self::ApplicationTenantMapping => "APPLICATION_TENANT_MAPPING",
            Self::RegisterApplication => "REGISTER_APPLICATION",
            Self::UnregisterApplication => "UNREGISTER_APPLICATION",
            Self::OpenResourceDiscovery => "OPEN_RESOURCE_DISCOVERY",
            Self::OpenResourceDiscoveryStatic => "OPEN_RESOURCE_DISCOVERY_STATIC",
            Self::FormationLifecycle => "FORMATION_LIFECYCLE",
            Self::SystemFieldDiscovery => "SYSTEM_FIELD_DISCOVERY",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for WebhookType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the called system says that it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookMode {
    /// By its answer to the call.
    Sync,
    /// By its answers to polls of the location that its answer to the call names.
    Async,
    /// By calling back; only formation webhooks may have this mode.
    AsyncCallback,
}

impl WebhookMode {
    pub const ALL: [Self; 3] = [Self::Sync, Self::Async, Self::AsyncCallback];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "SYNC",
            Self::Async => "ASYNC",
            Self::AsyncCallback => "ASYNC_CALLBACK",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

impl fmt::Display for WebhookMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_host_and_port() {
        assert_eq!(authority("http://a.example:80/x?y#z"), "a.example:80");
        assert_eq!(authority("https://b.example?y"), "b.example");
        assert_eq!(authority("b"), "b");
    }
}
