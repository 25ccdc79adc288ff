//! The HTTP client that all exchanges share.

use std::time::Duration;

use reqwest::{Client, redirect::Policy};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the idle time after which servers close (the shortest usual one is five seconds), so
/// that calls seldom meet a connection that has just gone.
const IDLE: Duration = Duration::from_secs(4);

/// HTTP/1.1 only, no redirects, no cookies, no proxy of the environment.
pub(crate) fn build(max_idle_per_destination: usize) -> Result<Client, reqwest::Error> {
    Client::builder()
        .user_agent(concat!("binnacle/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .http1_title_case_headers()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(max_idle_per_destination)
        .gzip(true)
        .build()
}
