//! A mesh on a fresh database with seeded applications, beside an external system.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::cluster::{Cluster, Place};
use super::external::{Behaviour, External};
use super::seed::{Group, Seeds, Writer};
use super::server::{Database, Server};
use super::usage::Meter;

/// Addresses of the external system that each stage has.
pub(super) const SYSTEMS: usize = 14;
/// The tenant of requests that name none.
const TENANT: Uuid = uuid::uuid!("3e64ebae-38b5-46a0-b1ed-9ccee153a0ae");

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Where stages are set up.
#[derive(Clone)]
pub(super) enum Site {
    Sqlite(PathBuf),
    Postgres(PathBuf, Arc<Server>),
}

impl Site {
    pub(super) fn backend(&self) -> Backend {
        match self {
            Self::Sqlite(_) => Backend::Sqlite,
            Self::Postgres(..) => Backend::Postgres,
        }
    }

    fn parent(&self) -> &Path {
        match self {
            Self::Sqlite(parent) | Self::Postgres(parent, _) => parent,
        }
    }

    /// A directory for one stage or floor.
    pub(super) fn directory(&self) -> anyhow::Result<TempDir> {
        tempfile::Builder::new()
            .prefix("binnacle-bench-")
            .tempdir_in(self.parent())
            .context("cannot make a temporary directory")
    }
}

/// How the roles are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    AllInOne,
    /// So many processes of each role.
    Replicated(usize),
}

/// A running stage. Dropping it ends the processes and removes the files; [`Stage::end`] also
/// drops the database.
pub(super) struct Stage {
    pub(super) backend: Backend,
    pub(super) cluster: Cluster,
    pub(super) external: External,
    pub(super) meter: Meter,
    pub(super) database: Option<Database>,
    server: Option<Arc<Server>>,
    pub(super) directory: TempDir,
}

/// What a stage starts with.
pub(super) struct Plan<'a> {
    pub(super) layout: Layout,
    pub(super) count: u64,
    /// How webhooks of the seeded applications are answered, of each in turn. Each has an
    /// external system's address of its own. `None`: nobody listens there.
    pub(super) behaviours: &'a [Option<Behaviour>],
    pub(super) retry_interval: u32,
    /// Tenants of the applications, in turn; empty: the default tenant.
    pub(super) tenants: &'a [Uuid],
    pub(super) labels: u64,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        Self {
            layout: Layout::AllInOne,
            count: 0,
            behaviours: &[Some(Behaviour::AtOnce)],
            retry_interval: 1,
            tenants: &[],
            labels: 0,
        }
    }
}

impl Plan<'_> {
    /// Systems and tenants go round independently, so the groups are as many as the larger.
    fn seeds(&self, external: &External) -> Seeds {
        let tenants = if self.tenants.is_empty() {
            &[TENANT][..]
        } else {
            self.tenants
        };
        let groups = tenants.len().max(self.behaviours.len());
        let group = |number: usize| {
            let behaviour = self.behaviours[number % self.behaviours.len()];
            Group {
                tenant: tenants[number % tenants.len()],
                base: match behaviour {
                    Some(behaviour) => external.url(number % self.behaviours.len(), behaviour),
                    None => external.refusing(),
                },
                behaviour: behaviour.unwrap_or(Behaviour::AtOnce),
                retry_interval: self.retry_interval,
            }
        };
        Seeds {
            count: self.count,
            groups: (0..groups).map(group).collect(),
            labels: self.labels,
        }
    }
}

impl Stage {
    /// Has the disk take what was written so far. The system would write what a row has left half a minute later,
    /// all at once, into another row, and whoever commits then would wait for it: some 100 ms on PostgreSQL.
    pub(super) async fn settle(&self) -> anyhow::Result<()> {
        let directory = std::fs::File::open(self.directory.path());
        let directory = directory.context("cannot open a temporary directory")?;
        tokio::task::spawn_blocking(move || rustix::fs::syncfs(&directory))
            .await?
            .context("the disk does not take what was written")
    }

    /// Starts the mesh so that it makes its tables, fills them while it is away, and starts it
    /// again.
    pub(super) async fn set_up(site: &Site, plan: &Plan<'_>) -> anyhow::Result<Self> {
        let directory = site.directory()?;
        let (database, server) = match site {
            Site::Sqlite(_) => (None, None),
            Site::Postgres(_, server) => {
                (Some(server.create_database().await?), Some(server.clone()))
            }
        };
        let place = Place {
            directory: directory.path(),
            database: database.as_ref().map(|database| &database.url),
        };
        let external = External::start(SYSTEMS).await?;
        drop(Cluster::all_in_one(&place).await?);
        let seeds = plan.seeds(&external);
        match &database {
            None => {
                let mut connection = open_sqlite(directory.path(), "director").await?;
                seeds.write(&mut Writer::Sqlite(&mut connection)).await?;
                connection.close().await.context("cannot close SQLite")?;
            }
            Some(database) => {
                let mut connection = database.connect().await?;
                seeds.write(&mut Writer::Postgres(&mut connection)).await?;
            }
        }
        let cluster = match plan.layout {
            Layout::AllInOne => Cluster::all_in_one(&place).await?,
            Layout::Replicated(replicas) => Cluster::replicated(&place, replicas).await?,
        };
        let meter = match &database {
            None => Meter::Sqlite {
                directory: directory.path().to_owned(),
            },
            Some(database) => Meter::postgres(database.connect().await?).await?,
        };
        Ok(Self {
            backend: site.backend(),
            cluster,
            external,
            meter,
            database,
            server,
            directory,
        })
    }

    /// A connection of our own to one of the services' tables; for SQLite, to its file.
    pub(super) async fn connect(&self, schema: &str) -> anyhow::Result<Connection> {
        match &self.database {
            None => Ok(Connection::Sqlite(
                open_sqlite(self.directory.path(), schema).await?,
            )),
            Some(database) => Ok(Connection::Postgres(database.connect().await?)),
        }
    }

    /// Ends the processes and leaves nothing behind.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Self {
            backend: _,
            cluster,
            external: _,
            meter,
            database,
            server,
            directory: _,
        } = self;
        drop(cluster);
        drop(meter);
        match (server, database) {
            (Some(server), Some(database)) => server.drop_database(&database.name).await,
            _ => Ok(()),
        }
    }
}

/// A connection to a stage's database.
pub(super) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Connection {
    pub(super) fn writer(&mut self) -> Writer<'_> {
        match self {
            Self::Sqlite(connection) => Writer::Sqlite(connection),
            Self::Postgres(connection) => Writer::Postgres(connection),
        }
    }
}

async fn open_sqlite(directory: &Path, schema: &str) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(directory.join(format!("{schema}.db")))
        .busy_timeout(std::time::Duration::from_secs(30));
    SqliteConnection::connect_with(&options)
        .await
        .context("cannot open the mesh's database file")
}
