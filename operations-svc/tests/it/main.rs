//! The worker against scripted peers that speak the contracts.

mod identity;
mod lifecycle;
mod peers;
mod trouble;
