//! The parts of `boot` that need a real database or a real socket.

#![cfg(test)]

mod database;
mod grpc;
mod http;
mod postgres;
mod sqlite;
