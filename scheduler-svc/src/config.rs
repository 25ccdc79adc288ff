//! What the service is told.

use std::time::Duration;

use binnacle_boot::database;

/// What the service is told besides where its database is.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the operations are kept.
    pub database: database::DatabaseUrl,
    /// How the database is opened.
    pub database_options: database::Options,
    /// How long a worker's session is good for without a heartbeat. Workers renew three times as often.
    pub lease: Duration,
}

impl Config {
    /// The usual configuration over this database.
    pub fn new(database: database::DatabaseUrl) -> Self {
        Self {
            database,
            database_options: database::Options::default(),
            lease: Duration::from_secs(15),
        }
    }
}
