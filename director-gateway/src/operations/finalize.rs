//! Outcomes to apply, and what became of them.

use binnacle_domain::operation::Outcome;
use uuid::Uuid;

/// A recorded outcome that is to be applied.
#[derive(Clone, Debug)]
pub struct Finalization {
    /// The operation.
    pub id: Uuid,
    /// As the scheduler recorded it.
    pub outcome: Outcome,
}

/// What became of a finalization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finalized {
    /// The resource carries the outcome now.
    Applied(Outcome),
    /// It was applied earlier.
    AlreadyApplied(Outcome),
    /// The resource is no longer there; this is the outcome on record.
    ResourceGone(Outcome),
    /// Nothing is known of the operation here, and nothing was applied.
    Unknown,
}

/// The error as the resource carries it: JSON text as the predecessor's `jsonb` column prints it (contract 1.6).
pub(super) fn shown(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Succeeded => None,
        Outcome::Failed { error, .. } => Some(format!(
            "{{\"error\": {}}}",
            serde_json::Value::String(error.clone())
        )),
    }
}

/// An outcome from a receipt's columns.
pub(super) fn outcome(succeeded: bool, error: String, detail: String) -> Outcome {
    if succeeded {
        Outcome::Succeeded
    } else {
        Outcome::Failed { error, detail }
    }
}

/// A receipt's columns from an outcome.
pub(super) fn columns(outcome: &Outcome) -> (bool, &str, &str) {
    match outcome {
        Outcome::Succeeded => (true, "", ""),
        Outcome::Failed { error, detail } => (false, error, detail),
    }
}
