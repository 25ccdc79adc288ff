//! The worker against scripted peers that speak the contracts.

#![cfg(test)]

mod identity;
mod lifecycle;
mod peers;
mod trouble;
