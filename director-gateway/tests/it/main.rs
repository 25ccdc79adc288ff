//! The gateway against real databases.

#![cfg(test)]

mod compass;
mod graphiql;
mod http;
mod http_audit;
mod http_bad_input;
mod http_poll;
mod operations;
mod schema;
mod support;
