//! Tests of the pure core: the operation machine, and templates against recorded behaviour.

#![cfg(test)]

mod operation;
mod operation_histories;
mod templates;
