//! What can go wrong with the database.

use std::sync::Arc;

use binnacle_boot::{batch, database};
use sqlx::error::DatabaseError;
use uuid::Uuid;

/// Why something was not written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the database failed")]
    Database(#[source] Arc<sqlx::Error>),
    #[error("what is stored about operation {id} cannot be read: {reason}")]
    Unreadable { id: Uuid, reason: String },
    #[error("the database does not take what was to be written")]
    Refused,
    #[error("too much is waiting to be written")]
    Busy,
    #[error("the writer has stopped")]
    Stopped,
}

impl Error {
    /// Whether it is what was to be written that is wrong, rather than the database.
    pub(super) fn is_about_an_item(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Database(source) => source
                .as_database_error()
                .and_then(DatabaseError::code)
                // Data exceptions and violated constraints; SQLite's numbers for the latter end in 19 and 20.
                .is_some_and(|code| match code.parse::<u32>() {
                    Ok(number) if code.len() < 5 => matches!(number & 0xff, 18..=20 | 25),
                    _ => code.starts_with("22") || code.starts_with("23"),
                }),
            Self::Refused | Self::Busy | Self::Stopped => false,
        }
    }

    /// The message and that of what is behind it.
    pub(crate) fn with_cause(&self) -> String {
        match self {
            Self::Database(source) => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        database::failure(error).into()
    }
}

impl From<batch::Error<Self>> for Error {
    fn from(error: batch::Error<Self>) -> Self {
        match error {
            batch::Error::Busy => Self::Busy,
            batch::Error::Stopped => Self::Stopped,
            batch::Error::Commit(error) => error,
        }
    }
}

/// Why the store does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot read the database's clock")]
    Clock(#[source] sqlx::Error),
    #[error("cannot register the metrics")]
    Metrics(#[source] prometheus::Error),
}
