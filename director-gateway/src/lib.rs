//! GraphQL in; owns the registry.

pub mod operations;
pub mod service;
