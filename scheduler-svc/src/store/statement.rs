//! The statements of the data path, each in a file of its own.

/// A statement, in the words of each database.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

macro_rules! statement {
    ($name:literal) => {
        Statement {
            sqlite: include_str!(concat!("sql/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("sql/postgres/", $name, ".sql")),
        }
    };
}

pub(super) const CLOCK: Statement = statement!("clock");
pub(super) const WRITE: Statement = statement!("write");
/// [`WRITE`] as a transaction of its own, on SQLite; on PostgreSQL a statement is one anyway.
pub(super) const WRITE_ALONE: &str = concat!(
    "BEGIN IMMEDIATE;\n",
    include_str!("sql/sqlite/write.sql"),
    ";\nCOMMIT"
);
pub(super) const FIND: Statement = statement!("find");
pub(super) const SAVED: Statement = statement!("saved");
pub(super) const FINISHED: Statement = statement!("finished");
pub(super) const CLAIM: Statement = statement!("claim");
pub(super) const NEXT_DUE: Statement = statement!("next_due");
pub(super) const HELLO: Statement = statement!("hello");
pub(super) const SUPERSEDE: Statement = statement!("supersede");
pub(super) const RENEW: Statement = statement!("renew");
pub(super) const GOODBYE: Statement = statement!("goodbye");
pub(super) const UNDELIVERED: Statement = statement!("undelivered");
pub(super) const GET: Statement = statement!("get");
pub(super) const PROGRESS: Statement = statement!("progress");
pub(super) const ATTEMPTS: Statement = statement!("attempts");

/// Those that read or write a table that grows.
#[cfg(test)]
pub(super) const ALL: &[(&str, Statement)] = &[
    ("write", WRITE),
    ("find", FIND),
    ("saved", SAVED),
    ("finished", FINISHED),
    ("claim", CLAIM),
    ("next_due", NEXT_DUE),
    ("undelivered", UNDELIVERED),
    ("supersede", SUPERSEDE),
    ("get", GET),
    ("progress", PROGRESS),
    ("attempts", ATTEMPTS),
];
