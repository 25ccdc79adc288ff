//! Taking the addresses that a role serves on, before anything else is started.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::Misuse;
use crate::cli::Auth;

/// A bound listener and where it is.
pub(crate) struct Bound {
    pub(crate) listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Listens on `address`, which `--{flag}` gave.
pub(crate) async fn bind(flag: &str, address: SocketAddr, auth: Auth) -> anyhow::Result<Bound> {
    match auth {
        Auth::None if !address.ip().is_loopback() => {
            let message = format!(
                "--{flag} {address} is not a loopback address, and with --auth none everybody who \
                 reaches it is an administrator; give an address in 127.0.0.0/8 or [::1]"
            );
            return Err(Misuse(message).into());
        }
        Auth::None => {}
    }
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}; stop what uses the address, or choose another with \
             --{flag}"
        )
    })?;
    let address = listener.local_addr().context("a listener has no address")?;
    Ok(Bound { listener, address })
}

/// Writes the bound addresses as a JSON object, so that who reads the file sees all or nothing.
pub(crate) fn announce(file: &Path, addresses: &[(&str, SocketAddr)]) -> anyhow::Result<()> {
    let object: serde_json::Map<_, _> = addresses
        .iter()
        .map(|(name, address)| ((*name).to_owned(), address.to_string().into()))
        .collect();
    let mut partial = file.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    let text = format!("{:#}\n", serde_json::Value::from(object));
    std::fs::write(&partial, text)
        .and_then(|()| std::fs::rename(&partial, file))
        .with_context(|| format!("cannot write the ready file {}", file.display()))
}

/// Removes what an earlier run announced, which is no longer true.
pub(crate) fn withdraw(file: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot replace the ready file {}", file.display()))
        }
        _ => Ok(()),
    }
}
