//! Where a database is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

const PATIENCE: Duration = Duration::from_secs(30);

/// Where a database is. Shows itself without the password.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// The directory that holds one file per service.
    Sqlite(PathBuf),
    /// A server and the database in it, with whom to be there.
    Postgres(Server),
}

/// A served database.
#[derive(Clone)]
pub struct Server {
    pub(super) connect: Box<PgConnectOptions>,
    pub(super) patience: Duration,
}

impl DatabaseUrl {
    /// How long opening waits for a server that does not answer; 30 s unless said otherwise.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        match self {
            Self::Sqlite(directory) => Self::Sqlite(directory),
            Self::Postgres(server) => Self::Postgres(Server { patience, ..server }),
        }
    }
}

/// Why a text is no database URL.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "not a database URL; give postgres://USER:PASSWORD@HOST:PORT/DATABASE or sqlite:DIRECTORY"
    )]
    Scheme,
    #[error("the directory is missing; give sqlite:DIRECTORY")]
    Directory,
    #[error("not a PostgreSQL URL")]
    Postgres(#[source] sqlx::Error),
}

impl FromStr for DatabaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(text).map_err(InvalidUrl::Postgres)?;
            return Ok(Self::Postgres(Server {
                connect: Box::new(options),
                patience: PATIENCE,
            }));
        }
        let Some(rest) = text.strip_prefix("sqlite:") else {
            return Err(InvalidUrl::Scheme);
        };
        let directory = rest.strip_prefix("//").unwrap_or(rest);
        if directory.is_empty() {
            return Err(InvalidUrl::Directory);
        }
        Ok(Self::Sqlite(directory.into()))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(directory) => write!(formatter, "sqlite:{}", directory.display()),
            Self::Postgres(server) => formatter.write_str(&shown(&server.connect)),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The server as a reader knows it, without user or password.
pub(super) fn shown(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or("(default)");
    match options.get_socket() {
        Some(socket) => format!("postgres://{}/{database}", socket.display()),
        None => format!(
            "postgres://{}:{}/{database}",
            options.get_host(),
            options.get_port()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let url: DatabaseUrl = "postgres://me:secret@db.example:5433/binnacle"
            .parse()
            .unwrap();
        assert_eq!(
            format!("{url} {url:?}").replace("postgres://db.example:5433/binnacle", ""),
            " "
        );
    }

    #[test]
    fn a_directory_is_a_database_too() {
        let url: DatabaseUrl = "sqlite:./data".parse().unwrap();
        assert!(matches!(url, DatabaseUrl::Sqlite(path) if path.ends_with("data")));
    }

    #[test]
    fn anything_else_is_refused_with_what_would_do() {
        for text in [
            "mysql://localhost/x",
            "data",
            "",
            "sqlite:",
            "postgres://host:notaport/x",
        ] {
            assert!(text.parse::<DatabaseUrl>().is_err(), "{text}");
        }
    }
}
