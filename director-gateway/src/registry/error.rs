//! What can keep the registry from doing what was asked.

use std::sync::Arc;

use sea_orm::{DbErr, SqlErr};
use uuid::Uuid;

/// What can keep the registry from doing what was asked. Everything but [`Error::Database`],
/// [`Error::Failed`] and [`Error::Stopped`] is the caller's to put right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such thing in the caller's tenant.
    #[error("{object} not found")]
    NotFound {
        object: &'static str,
        /// The id as the caller gave it, where the answer repeats it.
        id: Option<String>,
    },
    #[error("{object} is not unique")]
    NotUnique { object: &'static str },
    #[error("the name of the {object} is not unique")]
    NotUniqueName { object: &'static str },
    #[error("invalid data: {0}")]
    InvalidData(String),
    /// Fields of an input that break its rules, as `field=message`, in order.
    #[error("invalid {input}: {}", fields.join("; "))]
    InvalidFields {
        input: &'static str,
        fields: Vec<String>,
    },
    #[error("a tenant is required")]
    TenantRequired,
    #[error("tenant {0} not found")]
    TenantNotFound(String),
    #[error("unauthorized: {0}")]
    Unauthorized(&'static str),
    /// Something else refers to what was to be deleted.
    #[error("another record refers to the {object}")]
    Referenced { object: &'static str },
    /// What the new record would refer to is not there.
    #[error("what the {object} refers to does not exist")]
    Dangling { object: &'static str },
    /// Another operation runs on the resource.
    #[error("{reason}")]
    Concurrent {
        reason: &'static str,
        operation_id: Option<Uuid>,
    },
    /// The resource changed again and again while it was being read.
    #[error("the object keeps changing")]
    ConcurrentUpdate,
    /// A refusal in words of its own.
    #[error("{0}")]
    Refused(String),
    /// An argument that its scalar does not take; `argument` is its path below the field.
    #[error("{argument} {text}")]
    Argument { argument: String, text: String },
    #[error("the database failed")]
    Database(#[source] DbErr),
    /// What the change is part of failed.
    #[error("the change could not be recorded")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("the transaction ended without an answer")]
    Stopped,
}

impl Error {
    /// An object that the caller's tenant does not have.
    pub fn not_found(object: &'static str) -> Self {
        Self::NotFound { object, id: None }
    }

    /// Like [`Error::not_found`], repeating the id.
    pub fn not_found_id(object: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound {
            object,
            id: Some(id.into()),
        }
    }

    /// Says where a plain refusal came from, outermost first, as `while doing: reason`.
    #[must_use]
    pub fn during(self, doing: &str) -> Self {
        match self {
            Self::Refused(reason) => Self::Refused(format!("{doing}: {reason}")),
            other => other,
        }
    }

    /// A unique constraint that `error` broke becomes `otherwise`.
    pub(crate) fn unique(error: DbErr, otherwise: Self) -> Self {
        match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => otherwise,
            _ => error.into(),
        }
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::ForeignKeyConstraintViolation(_)) = error.sql_err() {
            return Self::Referenced { object: "record" };
        }
        // PostgreSQL keeps no text with U+0000 in it.
        let text = error.to_string();
        if text.contains("0x00") || text.contains("unsupported Unicode escape sequence") {
            return Self::InvalidData("a text must not contain the character U+0000".into());
        }
        Self::Database(error)
    }
}
