//! The statements of the data path, each in a file of its own.

/// A statement, in the words of each database. Where the one of PostgreSQL takes a list of rows, that of SQLite takes
/// one row.
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
pub(super) const FIND: Statement = statement!("find");
pub(super) const SAVED: Statement = statement!("saved");
pub(super) const FINISHED: Statement = statement!("finished");
pub(super) const CLAIM: Statement = statement!("claim");
pub(super) const NEXT_DUE: Statement = statement!("next_due");
pub(super) const HELLO: Statement = statement!("hello");
pub(super) const SUPERSEDE: Statement = statement!("supersede");
pub(super) const RENEW: Statement = statement!("renew");
pub(super) const GOODBYE: Statement = statement!("goodbye");
pub(super) const LOST: Statement = statement!("lost");
pub(super) const UNDELIVERED: Statement = statement!("undelivered");
pub(super) const GET: Statement = statement!("get");
pub(super) const PROGRESS: Statement = statement!("progress");
pub(super) const ATTEMPTS: Statement = statement!("attempts");

/// What is written in one go: on PostgreSQL one statement.
pub(super) const WRITE: &str = include_str!("sql/postgres/write.sql");

/// What is written in one go: on SQLite a statement for each kind of row.
pub(super) mod row {
    pub(in crate::store) const SAVE: &str = include_str!("sql/sqlite/save.sql");
    pub(in crate::store) const LET_GO: &str = include_str!("sql/sqlite/let_go.sql");
    pub(in crate::store) const ATTEMPT: &str = include_str!("sql/sqlite/attempt.sql");
    pub(in crate::store) const RELEASE: &str = include_str!("sql/sqlite/release.sql");
    pub(in crate::store) const END: &str = include_str!("sql/sqlite/end.sql");
    pub(in crate::store) const ENDED: &str = include_str!("sql/sqlite/ended.sql");
    pub(in crate::store) const CLOSE: &str = include_str!("sql/sqlite/close.sql");
    pub(in crate::store) const RECORD: &str = include_str!("sql/sqlite/record.sql");
}

/// Those that read or write a table that grows.
#[cfg(test)]
const ALL: &[(&str, Statement)] = &[
    ("find", FIND),
    ("saved", SAVED),
    ("finished", FINISHED),
    ("claim", CLAIM),
    ("next_due", NEXT_DUE),
    ("lost", LOST),
    ("undelivered", UNDELIVERED),
    ("supersede", SUPERSEDE),
    ("get", GET),
    ("progress", PROGRESS),
    ("attempts", ATTEMPTS),
];

/// SQLite's statements that read or write a table that grows.
#[cfg(test)]
pub(super) fn sqlite() -> Vec<(&'static str, &'static str)> {
    let written = [
        ("save", row::SAVE),
        ("let_go", row::LET_GO),
        ("attempt", row::ATTEMPT),
        ("release", row::RELEASE),
        ("end", row::END),
        ("ended", row::ENDED),
        ("close", row::CLOSE),
        ("record", row::RECORD),
    ];
    let both = ALL
        .iter()
        .map(|(name, statement)| (*name, statement.sqlite));
    both.chain(written).collect()
}

/// PostgreSQL's statements that read or write a table that grows.
#[cfg(test)]
pub(super) fn postgres() -> Vec<(&'static str, &'static str)> {
    let both = ALL
        .iter()
        .map(|(name, statement)| (*name, statement.postgres));
    both.chain([("write", WRITE)]).collect()
}
