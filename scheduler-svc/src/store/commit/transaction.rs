//! What a batch does in its transaction, on either database.

use sqlx::{FromRow, postgres::PgRow};
use uuid::Uuid;

use super::{Release, Save, record::Record};
use crate::store::{
    Error,
    sql::{Column, Value},
    statement::Statement,
};

/// A row of either database, as a transaction gets it.
pub(super) trait Row:
    for<'r> FromRow<'r, PgRow>
    + for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>
    + Send
    + Unpin
{
}

impl<T> Row for T where
    T: for<'r> FromRow<'r, PgRow>
        + for<'r> TryFrom<&'r rusqlite::Row<'r>, Error = rusqlite::Error>
        + Send
        + Unpin
{
}

/// The end of an operation.
#[derive(Clone, Copy)]
pub(super) struct End<'a> {
    pub(super) id: Uuid,
    pub(super) epoch: i64,
    /// The stored form, where it differs from the recorded one.
    pub(super) outcome: Option<&'a str>,
    /// It may end without an outcome on record, and its holder is to find out.
    pub(super) is_closing: bool,
}

/// What is written in one go, in this order.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) saves: &'a [(usize, &'a Save)],
    pub(super) releases: &'a [(usize, &'a Release)],
    pub(super) ends: &'a [End<'a>],
    pub(super) records: &'a [(usize, &'a Record)],
}

/// A kind of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Saved,
    Released,
    Ended,
    Recorded,
}

/// What was written, with the version reached.
pub(super) type Written = (Kind, Uuid, i64);

/// A transaction that writes.
pub(super) trait Transaction {
    /// Runs a statement, which is given `columns` of as many rows each and then `values`.
    fn run<T: Row>(
        &mut self,
        statement: Statement,
        columns: &[Column<'_>],
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<T>, Error>> + Send;

    fn write(
        &mut self,
        work: Work<'_>,
        now: i64,
    ) -> impl Future<Output = Result<Vec<Written>, Error>> + Send;
}
