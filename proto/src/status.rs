//! The one table of gRPC error codes. Every error carries a `google.rpc.ErrorInfo` in the domain `binnacle`;
//! `RetryInfo` where trying again helps.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::Invalid;

/// `ErrorInfo.domain` of everything that Binnacle refuses.
pub const DOMAIN: &str = "binnacle";

/// Why a call was refused. The name is `ErrorInfo.reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request says something impossible: `INVALID_ARGUMENT`.
    InvalidArgument,
    /// No such thing in the caller's reach: `NOT_FOUND`.
    NotFound,
    /// Another operation of the resource is in progress: `ABORTED`.
    ConcurrentOperation,
    /// The call does not fit what went before: `FAILED_PRECONDITION`.
    FailedPrecondition,
    /// A part that is needed does not answer: `UNAVAILABLE`, try again.
    Unavailable,
    /// More is waiting than can be taken: `RESOURCE_EXHAUSTED`, try again.
    Overloaded,
    /// Our fault: `INTERNAL`.
    Internal,
}

impl Reason {
    fn code(self) -> Code {
        match self {
            Self::InvalidArgument => Code::InvalidArgument,
            Self::NotFound => Code::NotFound,
            Self::ConcurrentOperation => Code::Aborted,
            Self::FailedPrecondition => Code::FailedPrecondition,
            Self::Unavailable => Code::Unavailable,
            Self::Overloaded => Code::ResourceExhausted,
            Self::Internal => Code::Internal,
        }
    }

    /// `ErrorInfo.reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::ConcurrentOperation => "CONCURRENT_OPERATION",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unavailable => "UNAVAILABLE",
            Self::Overloaded => "OVERLOADED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A status with its details; `metadata` goes into `ErrorInfo`.
pub fn refuse<const N: usize>(
    reason: Reason,
    message: impl Into<String>,
    metadata: [(&str, String); N],
) -> Status {
    let metadata: HashMap<String, String> = metadata
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    if matches!(reason, Reason::Unavailable | Reason::Overloaded) {
        details.set_retry_info(Some(Duration::from_secs(1)));
    }
    Status::with_error_details(reason.code(), message, details)
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        refuse(
            Reason::InvalidArgument,
            invalid.to_string(),
            [("field", invalid.field.to_owned())],
        )
    }
}
