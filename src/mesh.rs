//! Roles that run in this process: started together, watched, and stopped one after the other.

use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use binnacle_boot::{Context, Shutdown};
use tokio::task::JoinSet;

/// How often a role that is not ready yet is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// A role in this process.
struct Role {
    name: &'static str,
    context: Context,
    /// How long it may take to stop.
    limit: Duration,
}

/// The roles of this process. They are stopped in the order in which they were added, each with
/// those that it needs still running, and all together within half a minute.
#[derive(Default)]
pub(crate) struct Mesh {
    first: Context,
    roles: Vec<Role>,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
    pub(crate) addresses: Vec<(&'static str, SocketAddr)>,
}

impl Mesh {
    /// A mesh whose roles call one another in this process at `addresses`.
    pub(crate) fn calling_at(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self {
            first: Context::serving(addresses),
            ..Self::default()
        }
    }

    /// Starts a role; `run` is given its context.
    pub(crate) fn start<R, F, E>(&mut self, name: &'static str, limit: Duration, run: R)
    where
        R: FnOnce(Context) -> F,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Error + Send + Sync + 'static,
    {
        let context = self.first.sibling();
        let role = run(context.clone());
        self.running
            .spawn(async move { (name, role.await.with_context(|| name)) });
        self.roles.push(Role {
            name,
            context,
            limit,
        });
    }

    /// The address under which a role was announced.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.addresses
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, address)| *address)
    }

    /// Completes when every role is ready; fails when one of them ends instead.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let roles = &self.roles;
        let all_ready = async {
            for role in roles {
                role.context.readiness.wait_until_started().await;
                while !role.context.readiness.obstacles().await.is_empty() {
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        };
        tokio::select! {
            () = all_ready => Ok(()),
            ended = self.running.join_next() => Err(early_end(ended)),
        }
    }

    /// Completes when `stop` is triggered; fails when a role ends before.
    pub(crate) async fn run_until(&mut self, stop: &Shutdown) -> anyhow::Result<()> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            ended = self.running.join_next() => Err(early_end(ended)),
        }
    }

    /// Stops every role, and reports the first that failed on its way out.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for role in &self.roles {
            tracing::debug!(role = role.name, "stopping");
            role.context.shutdown.drain(role.limit).await;
        }
        let mut result = Ok(());
        let last_words = async {
            while let Some(ended) = self.running.join_next().await {
                match ended {
                    Ok((_, Ok(()))) => {}
                    Ok((_, Err(error))) => result = Err(error),
                    Err(panic) => result = Err(panic.into()),
                }
            }
        };
        if tokio::time::timeout(ASK_AGAIN * 50, last_words)
            .await
            .is_err()
        {
            tracing::warn!("a role did not end in time");
        }
        result
    }
}

type Ended = Option<Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>>;

fn early_end(ended: Ended) -> anyhow::Error {
    match ended {
        Some(Ok((name, Ok(())))) => anyhow!("{name} ended although nobody stopped it"),
        Some(Ok((_, Err(error)))) => error,
        Some(Err(panic)) => panic.into(),
        None => anyhow!("there is no role to run"),
    }
}
