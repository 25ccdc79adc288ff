//! What the tests of several crates lean on. Only ever a dev-dependency.
//!
//! *Invariant*: nothing here knows a word of the domain, and nothing here skips: where a tool is
//! missing the test fails and says which Debian package brings it.

mod clock;
mod postgres;
mod wait;

pub use clock::{StoppedClock, stop_clock};
pub use postgres::{Durability, Postgres};
pub use wait::until;

/// A directory that is removed with everything in it when the value is dropped.
pub use tempfile::TempDir as Scratch;

/// A fresh, empty [`Scratch`] directory.
///
/// # Panics
///
/// When the directory for temporary files is not writable.
pub fn scratch() -> Scratch {
    tempfile::Builder::new()
        .prefix("binnacle-test-")
        .tempdir()
        .unwrap_or_else(|error| panic!("no scratch directory: {error}"))
}
