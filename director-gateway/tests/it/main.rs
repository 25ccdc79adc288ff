//! The gateway against real databases.

mod operations;
