//! Tests of the pure core against recorded behaviour.

mod templates;
