//! GraphQL in; owns the registry.

pub mod operations;
pub mod registry;
pub mod service;
