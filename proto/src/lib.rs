//! The wire contract of the mesh: generated messages and clients, and their conversions to and from the domain,
//! once. Services depend on this crate and never on one another.

/// Generated from `binnacle/common/v1`.
pub mod common {
    #[expect(clippy::pedantic, reason = "generated code")]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("binnacle.common.v1");
    }
}
/// Generated from `binnacle/director/v1`.
pub mod director {
    #[expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated code"
    )]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("binnacle.director.v1");
    }
}
/// Generated from `binnacle/executor/v1`.
pub mod executor {
    #[expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated code"
    )]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("binnacle.executor.v1");
    }
}
/// Generated from `binnacle/scheduler/v1`.
pub mod scheduler {
    #[expect(
        clippy::pedantic,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        unused_qualifications,
        reason = "generated code"
    )]
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("binnacle.scheduler.v1");
    }
}

mod attempt;
mod operation;
mod spec;
pub mod status;
mod value;

pub use attempt::report_to;
pub use operation::{webhook_status_from, webhook_status_to};
pub use value::{Invalid, duration_from, duration_to, time_from, time_to, uuid_from};

/// Every contract with its comments and imports, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/binnacle.bin"));
