//! Tests of the pure core: the operation machine, and templates against recorded behaviour.

mod operation;
mod operation_histories;
mod templates;
