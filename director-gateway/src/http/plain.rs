//! Errors outside GraphQL, in the form that Compass's plain endpoints give them.

use std::any::Any;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::graphql::{Refusal, refusal};
use crate::registry;

/// An error that is the whole answer.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    content_type: HeaderValue,
    body: Value,
}

impl Problem {
    /// An error with Compass's name and number for it.
    pub(super) fn new(status: StatusCode, (name, code): (&str, i32), message: &str) -> Self {
        let extensions = json!({"error": name, "error_code": code});
        let errors = json!([{"message": message, "extensions": extensions}]);
        Self::of(status, json!({"errors": errors, "data": null}))
    }

    fn of(status: StatusCode, body: Value) -> Self {
        let content_type = HeaderValue::from_static("application/json");
        Self {
            status,
            content_type,
            body,
        }
    }

    pub(super) fn internal(text: &str) -> Self {
        let message = format!("Internal Server Error: {text}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ("InternalError", 10),
            &message,
        )
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, ("NotFound", 20), message)
    }

    pub(super) fn invalid(reason: &str) -> Self {
        let message = format!("Invalid data [reason={reason}]");
        Self::new(StatusCode::BAD_REQUEST, ("InvalidData", 22), &message)
    }

    #[must_use]
    pub(super) fn with_content_type(self, content_type: HeaderValue) -> Self {
        Self {
            content_type,
            ..self
        }
    }
}

impl From<registry::Error> for Problem {
    fn from(error: registry::Error) -> Self {
        let Refusal { status, body } = refusal(&error);
        Self::of(status, body)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self {
            status,
            content_type,
            body,
        } = self;
        (status, [(CONTENT_TYPE, content_type)], body.to_string()).into_response()
    }
}

/// The answer of a handler that panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer calls it so")]
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response<Body> {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    tracing::error!(panic = text, "a request failed");
    Problem::internal("the request failed").into_response()
}
