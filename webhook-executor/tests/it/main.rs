//! The executor over real connections: a worker's stream on one side, a scripted system on the
//! other.

#![cfg(test)]

mod exchange;
mod recorded;
mod stream;
mod target;
mod worker;
