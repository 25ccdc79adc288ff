//! The gateway against real databases.

mod graphiql;
mod http;
mod http_audit;
mod operations;
