//! Errors as Compass's clients know them: a message, a name and a code.

use async_graphql::{ErrorExtensionValues, PathSegment};
use binnacle_boot::ids;
use http::StatusCode;
use serde_json::{Value as Json, json};

use crate::registry::Error;

/// An error as a client sees it.
pub(crate) struct Shown {
    pub message: String,
    pub name: &'static str,
    pub code: i32,
}

/// A refusal of a whole request, outside GraphQL.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: Json,
}

/// `error` as the answer to a request that is refused as a whole.
pub fn refusal(error: &Error) -> Refusal {
    let Shown {
        message,
        name,
        code,
    } = shown(error, &[]);
    let status = match error {
        Error::Database(_) | Error::Failed(_) | Error::Stopped => StatusCode::INTERNAL_SERVER_ERROR,
        Error::NotFound { .. } => StatusCode::NOT_FOUND,
        _ => StatusCode::BAD_REQUEST,
    };
    let extensions = json!({ "error": name, "error_code": code });
    let body =
        json!({ "errors": [{ "message": message, "extensions": extensions }], "data": null });
    Refusal { status, body }
}

/// What a client sees of `error` at `path`.
pub(crate) fn shown(error: &Error, path: &[PathSegment]) -> Shown {
    let (name, code) = kind(error);
    Shown {
        message: message(error, path),
        name,
        code,
    }
}

fn kind(error: &Error) -> (&'static str, i32) {
    match error {
        Error::Refused(_)
        | Error::Argument { .. }
        | Error::Database(_)
        | Error::Failed(_)
        | Error::Stopped => ("InternalError", 10),
        Error::NotFound { .. } => ("NotFound", 20),
        Error::NotUnique { .. } => ("NotUnique", 21),
        Error::InvalidData(_) | Error::InvalidFields { .. } => ("InvalidData", 22),
        Error::TenantRequired => ("TenantRequired", 24),
        Error::TenantNotFound(_) => ("TenantNotFound", 25),
        Error::Unauthorized(_) => ("Unauthorized", 26),
        Error::Referenced { .. } | Error::Dangling { .. } => ("InvalidOperation", 27),
        Error::NotUniqueName { .. } => ("NotUniqueName", 31),
        Error::Concurrent { .. } => ("ConcurrentOperation", 32),
        Error::ConcurrentUpdate => ("ConcurrentUpdate", 35),
    }
}

fn message(error: &Error, path: &[PathSegment]) -> String {
    match error {
        Error::NotFound { object, id: None } => format!("Object not found [object={object}]"),
        Error::NotFound {
            object,
            id: Some(id),
        } => {
            format!("Object not found [ID={id}; object={object}]")
        }
        Error::NotUnique { object } => format!("Object is not unique [object={object}]"),
        Error::NotUniqueName { object } => format!("Object name is not unique [object={object}]"),
        Error::InvalidData(reason) => format!("Invalid data [reason={reason}]"),
        Error::InvalidFields { input, fields } => {
            format!("Invalid data {input} [{}]", fields.join("; "))
        }
        Error::TenantRequired => "Tenant is required".to_owned(),
        Error::TenantNotFound(tenant) => format!("Tenant not found [externalTenant={tenant}]"),
        Error::Unauthorized(reason) => format!("Unauthorized [reason={reason}]"),
        Error::Referenced { object } => format!(
            "The operation is not allowed [object={object}; reason=The record cannot be deleted \
             because another record refers to it]"
        ),
        Error::Dangling { object } => format!(
            "The operation is not allowed [object={object}; reason=The referenced entity does not \
             exists]"
        ),
        Error::Concurrent { reason, .. } => format!("Concurrent operation [reason={reason}]"),
        Error::ConcurrentUpdate => "Could not update object due to concurrent update".to_owned(),
        Error::Refused(text) => internal(Some(format!("input: {} {text}", spelled(path)))),
        Error::Argument { argument, text } => {
            internal(Some(format!("input: {}.{argument} {text}", spelled(path))))
        }
        Error::Database(_) | Error::Failed(_) | Error::Stopped => internal_and_logged(error),
    }
}

fn internal(reason: Option<String>) -> String {
    let id = ids::v4();
    match reason {
        Some(reason) => format!("Internal Server Error [errorID={id}, reason: {reason}]"),
        None => format!("Internal Server Error [errorID={id}]"),
    }
}

fn internal_and_logged(error: &Error) -> String {
    let message = internal(None);
    let cause = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(%error, cause, answer = message, "a request failed");
    message
}

/// A path as Compass's messages spell it.
fn spelled(path: &[PathSegment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            PathSegment::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            PathSegment::Index(index) => {
                text.push('[');
                text.push_str(&index.to_string());
                text.push(']');
            }
        }
    }
    text
}

/// Writes the name and the code of an error into its extensions.
pub(crate) fn extend(extensions: &mut ErrorExtensionValues, name: &str, code: i32) {
    extensions.set("error", name);
    extensions.set("error_code", code);
}
