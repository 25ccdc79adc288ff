//! What a template renders.

use serde_json::Value as Json;

use crate::webhook::WebhookType;

/// The value that is the dot of a template when it starts.
pub struct Data {}

impl Data {
    /// The request object of an application's operation.
    pub fn request_object(_object: &Json) -> Self {
        Self {}
    }

    /// The object that templates of this type are tried with when they are saved; None for a type
    /// that has no request templates.
    pub fn empty_request_object(_kind: WebhookType) -> Option<Self> {
        Some(Self {})
    }

    /// The answer to a call or poll.
    pub fn answer(_headers: &[(String, String)], _body: &[u8]) -> Result<Self, String> {
        Ok(Self {})
    }

    pub fn empty_answer() -> Self {
        Self {}
    }
}
