//! The addresses of another role's replicas, and channels to them.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use tokio::sync::watch;
use tonic::transport::Endpoint;

use super::balanced::{Balanced, Replica, Replicas};
use super::{Channel, InProcess};
use crate::Shutdown;
use crate::connection::{CONNECTION_WINDOW, KEEPALIVE, KEEPALIVE_ANSWER, STREAM_WINDOW};

/// How often names are resolved again.
const RESOLVE: Duration = Duration::from_secs(10);
/// How soon a name that gave nothing is tried again.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The replicas of a role, as configured: `HOST:PORT`, or several of them separated by commas.
/// A host may be a name; it stands for all its addresses, and is resolved again every ten
/// seconds, so replicas may come and go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[expect(
    clippy::unsafe_derive_deserialize,
    reason = "what is unsafe is inside the select macro"
)]
pub struct Peers(Vec<String>);

/// Why a text names no peers.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not HOST:PORT; give one, or several separated by commas")]
pub struct InvalidPeers(String);

impl FromStr for Peers {
    type Err = InvalidPeers;

    fn from_str(text: &str) -> Result<Self, InvalidPeers> {
        let invalid = |name: &str| InvalidPeers(name.to_owned());
        let mut names = Vec::new();
        for name in text.split(',').map(str::trim) {
            let (host, port) = name.rsplit_once(':').ok_or_else(|| invalid(name))?;
            let port: u16 = port.parse().map_err(|_| invalid(name))?;
            let is_bare_v6 = host.contains(':') && !host.starts_with('[');
            if host.is_empty() || port == 0 || is_bare_v6 || host.contains('/') {
                return Err(invalid(name));
            }
            names.push(name.to_owned());
        }
        Ok(Self(names))
    }
}

impl TryFrom<String> for Peers {
    type Error = InvalidPeers;

    fn try_from(text: String) -> Result<Self, InvalidPeers> {
        text.parse()
    }
}

impl From<SocketAddr> for Peers {
    fn from(address: SocketAddr) -> Self {
        Self(vec![address.to_string()])
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join(","))
    }
}

impl Peers {
    /// The addresses there are now, and every change of them. Empty while no name has been
    /// resolved yet; a name that stops resolving keeps the addresses it had.
    pub fn watch(&self, shutdown: &Shutdown) -> watch::Receiver<BTreeSet<SocketAddr>> {
        let literal = self
            .0
            .iter()
            .map(|name| name.parse())
            .collect::<Result<BTreeSet<_>, _>>();
        let is_fixed = literal.is_ok();
        let (sender, receiver) = watch::channel(literal.unwrap_or_default());
        let names = self.0.clone();
        let stop = shutdown.clone();
        shutdown.spawn(async move {
            if is_fixed {
                stop.cancelled().await;
            } else {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = resolve_for_ever(&names, &sender) => {}
                }
            }
            drop(sender);
        });
        receiver
    }

    /// One channel over all replicas, for calls that any of them can answer. A call goes to the one with the fewest
    /// calls under way; one to a replica that cannot be reached fails as `Unavailable`, and the next ones go to
    /// others. While no address is known, calls wait: give them a deadline.
    ///
    /// A role of this process is reached `in_process`.
    pub fn balanced(&self, in_process: &InProcess, shutdown: &Shutdown) -> Channel {
        if let [only] = self.0.as_slice()
            && let Ok(address) = only.parse()
            && let Some(channel) = in_process.channel(address)
        {
            return channel;
        }
        let (replicas, known) = watch::channel(Replicas::new());
        shutdown.spawn(follow(self.watch(shutdown), replicas));
        Balanced::new(known).into()
    }
}

/// A channel to one replica, `in_process` if it is there. Connects when it is first used, and again
/// whenever that is needed.
pub fn channel(address: SocketAddr, in_process: &InProcess) -> Channel {
    in_process
        .channel(address)
        .unwrap_or_else(|| endpoint(address).connect_lazy().into())
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{address}")) else {
        unreachable!("a socket address is a valid authority");
    };
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_ANSWER)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}

async fn resolve_for_ever(names: &[String], sender: &watch::Sender<BTreeSet<SocketAddr>>) {
    loop {
        let found = join_all(names.iter().map(|name| resolve(name))).await;
        let all_found = found.iter().all(|addresses| !addresses.is_empty());
        let addresses: BTreeSet<_> = found.into_iter().flatten().collect();
        sender.send_if_modified(|known| {
            // What one of the names gave before cannot be told apart, so a name that fails now
            // only ever adds.
            let next = if all_found {
                addresses
            } else {
                &addresses | known
            };
            let is_new = next != *known;
            *known = next;
            is_new
        });
        tokio::time::sleep(if all_found { RESOLVE } else { RESOLVE_AGAIN }).await;
    }
}

async fn resolve(name: &str) -> BTreeSet<SocketAddr> {
    match tokio::net::lookup_host(name).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            tracing::warn!(peer = name, %error, "cannot resolve the name of a peer");
            BTreeSet::new()
        }
    }
}

/// Keeps the replicas to those at the addresses there are. Ends when nobody needs them, or when there are no more
/// addresses to come.
async fn follow(
    mut addresses: watch::Receiver<BTreeSet<SocketAddr>>,
    replicas: watch::Sender<Replicas>,
) {
    loop {
        let current = addresses.borrow_and_update().clone();
        replicas.send_modify(|known| {
            known.retain(|address, _| current.contains(address));
            for address in current {
                let replica = || Arc::new(Replica::new(endpoint(address).connect_lazy()));
                known.entry(address).or_insert_with(replica);
            }
        });
        tokio::select! {
            ended = addresses.changed() => if ended.is_err() { return },
            () = replicas.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_written_as_they_are_read() {
        for text in ["127.0.0.1:50051", "a.example:1,b.example:2", "[::1]:80"] {
            assert_eq!(text.parse::<Peers>().unwrap().to_string(), text);
        }
        assert_eq!("a:1 , b:2".parse::<Peers>().unwrap().to_string(), "a:1,b:2");
    }

    #[test]
    fn what_is_no_address_is_refused_and_named() {
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "::1:80",
            "a:1,",
            "http://a:1",
        ] {
            assert!(text.parse::<Peers>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn literal_addresses_are_there_at_once() {
        let peers: Peers = "127.0.0.1:1,127.0.0.1:2".parse().unwrap();
        assert_eq!(peers.watch(&Shutdown::new()).borrow().len(), 2);
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_all_its_addresses() {
        let peers: Peers = "localhost:80".parse().unwrap();
        let mut addresses = peers.watch(&Shutdown::new());
        let found = addresses
            .wait_for(|addresses| !addresses.is_empty())
            .await
            .unwrap();
        assert!(
            found
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 80)
        );
    }
}
