//! What may be saved as a webhook.

use std::collections::BTreeMap;
use std::fmt;

use super::go_url;
use super::rendered::{self, Output, Rendering, Status, Target};
use super::{WebhookMode, WebhookType};
use crate::template::Data;

/// A webhook as a client describes it, before it is known to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    pub kind: WebhookType,
    pub mode: Option<WebhookMode>,
    pub url: Option<String>,
    pub url_template: Option<String>,
    pub input_template: Option<String>,
    pub header_template: Option<String>,
    pub output_template: Option<String>,
    pub status_template: Option<String>,
    pub correlation_id_key: Option<String>,
    /// Seconds.
    pub retry_interval: Option<i64>,
    /// Seconds.
    pub timeout: Option<i64>,
}

/// Why a webhook is refused. It reads as Compass words it inside a longer message, for example
/// within the webhooks of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Messages by the names of the fields in the GraphQL input, without a full stop.
    Fields(BTreeMap<&'static str, String>),
    /// The reason, for an error that is about the webhook as a whole.
    Reason(String),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fields(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, message)| format!("{name}: {message}"))
                    .collect();
                write!(f, "{}.", fields.join("; "))
            }
            Self::Reason(reason) => write!(f, "Invalid data [reason={reason}]"),
        }
    }
}

impl std::error::Error for Invalid {}

const MAX_LENGTH: usize = 256;

impl Input {
    /// Checks everything that can be known before the first call, in Compass's order. Templates
    /// are rendered with empty data, so a branch that empty data does not reach is checked for its
    /// syntax only.
    pub fn validate(&self) -> Result<(), Invalid> {
        let fields = self.field_errors();
        if !fields.is_empty() {
            return Err(Invalid::Fields(fields));
        }
        self.validate_url()?;
        self.validate_request_templates()?;
        self.validate_answer_templates()
    }

    fn field_errors(&self) -> BTreeMap<&'static str, String> {
        let mut errors = BTreeMap::new();
        let too_long = || format!("the length must be no more than {MAX_LENGTH}");
        if let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) {
            if !go_url::is_url(url) {
                errors.insert("url", "must be a valid URL".to_owned());
            } else if url.chars().count() > MAX_LENGTH {
                errors.insert("url", too_long());
            }
        }
        if self
            .correlation_id_key
            .as_ref()
            .is_some_and(|key| key.chars().count() > MAX_LENGTH)
        {
            errors.insert("correlationIdKey", too_long());
        }
        match self.mode {
            Some(WebhookMode::Async) if self.is_for_formations() => {
                errors.insert("mode", "must be a valid value".to_owned());
            }
            Some(WebhookMode::AsyncCallback) if !self.is_for_formations() => {
                errors.insert("mode", "must not be in list".to_owned());
            }
            _ => {}
        }
        for (name, seconds) in [
            ("retryInterval", self.retry_interval),
            ("timeout", self.timeout),
        ] {
            if seconds.is_some_and(i64::is_negative) {
                errors.insert(name, "must be no less than 0".to_owned());
            }
        }
        errors
    }

    fn is_for_formations(&self) -> bool {
        matches!(
            self.kind,
            WebhookType::ConfigurationChanged
                | WebhookType::ApplicationTenantMapping
                | WebhookType::FormationLifecycle
        )
    }

    fn validate_url(&self) -> Result<(), Invalid> {
        match (&self.url, &self.url_template) {
            (None, None) => Err(reason("missing webhook url")),
            (Some(_), Some(_)) => Err(reason("cannot provide both webhook url and url template")),
            (Some(url), None) => go_url::parse_request_uri(url)
                .map_err(|error| reason(format!("failed to parse webhook url: {error}"))),
            (None, Some(_)) => Ok(()),
        }
    }

    fn validate_request_templates(&self) -> Result<(), Invalid> {
        let data = Data::empty_request_object(self.kind);
        let data = || {
            data.as_ref()
                .ok_or_else(|| reason(format!("missing template input for type: {}", self.kind)))
        };
        if let Some(template) = &self.url_template {
            Target::render(template, data()?).map_err(|error| unparsed("url", &error))?;
        }
        if let Some(template) = &self.input_template {
            rendered::body(template, data()?).map_err(|error| unparsed("input", &error))?;
        }
        if let Some(template) = &self.header_template {
            rendered::headers(template, data()?).map_err(|error| unparsed("headers", &error))?;
        }
        Ok(())
    }

    fn validate_answer_templates(&self) -> Result<(), Invalid> {
        let data = Data::empty_answer();
        let is_lifecycle = matches!(
            self.kind,
            WebhookType::RegisterApplication | WebhookType::UnregisterApplication
        );
        match &self.output_template {
            Some(template) => {
                Output::render(template, &data).map_err(|error| unparsed("output", &error))?;
            }
            None if is_lifecycle => {
                let kind = self.kind;
                return Err(reason(format!(
                    "outputTemplate is required for type: {kind}"
                )));
            }
            None => {}
        }
        if self.mode == Some(WebhookMode::Async) {
            let Some(template) = &self.status_template else {
                return Err(reason("missing webhook status template"));
            };
            Status::render(template, &data).map_err(|error| unparsed("status", &error))?;
        }
        Ok(())
    }
}

fn reason(text: impl Into<String>) -> Invalid {
    Invalid::Reason(text.into())
}

fn unparsed(template: &str, error: &Rendering) -> Invalid {
    reason(format!(
        "failed to parse webhook {template} template: {error}"
    ))
}
