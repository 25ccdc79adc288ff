//! The gateway against real databases.

#![cfg(test)]

mod answers;
mod batches;
mod compass;
mod graphiql;
mod http;
mod http_audit;
mod http_bad_input;
mod http_poll;
mod operations;
mod registry;
mod relay;
mod schema;
mod statements;
mod support;
mod templates;
