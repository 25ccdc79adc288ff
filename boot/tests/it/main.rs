//! The parts of `boot` that need a real database or a real socket.

mod database;
mod grpc;
mod http;
mod postgres;
