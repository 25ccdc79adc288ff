//! How a service starts and stops.
//!
//! Everything here is the same for every service and knows no word of the domain: the clock and
//! ids, shutdown, telemetry, health, the loops that serve gRPC and HTTP, the addresses of peers,
//! the opening of a database and the writer that groups its commits.

pub mod batch;
pub mod clock;
mod connection;
mod context;
pub mod database;
pub mod failpoint;
pub mod grpc;
pub mod health;
pub mod http;
pub mod ids;
mod outbox;
pub mod shutdown;
pub mod telemetry;

pub use context::Context;
pub use health::Readiness;
pub use outbox::Outbox;
pub use shutdown::Shutdown;
