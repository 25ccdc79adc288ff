//! The pure core: what an operation is and what it does next, what webhooks say, how long to wait. It knows no
//! clock, no network and no database; it is told the time and decides.

pub mod operation;
pub mod retry;
pub mod template;
pub mod webhook;

/// A point in time. Nothing is ordered by it; it decides only what is due.
pub type Time = chrono::DateTime<chrono::Utc>;
