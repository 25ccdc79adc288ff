//! The one place that makes ids. Everything else is handed them as values.

use uuid::Uuid;

/// A time-ordered id, friendly to indexes. Nothing may rely on the order.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that makes ids"
)]
pub fn v7() -> Uuid {
    Uuid::now_v7()
}

/// A random id, which tells nothing about when it was made.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that makes ids"
)]
pub fn v4() -> Uuid {
    Uuid::new_v4()
}
