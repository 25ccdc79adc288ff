//! Who holds what: sessions and claims.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Answer, Answers, Positions, transaction::Transaction};
use crate::store::{
    Error,
    sql::{Column, Value},
    statement,
    stored::OperationRow,
};

/// How long sessions are remembered that have said nothing, in microseconds.
const REMEMBERED: i64 = 24 * 60 * 60 * 1_000_000;

/// Operations to grant to a session.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) session: Uuid,
    pub(crate) limit: i64,
    /// Operations of one destination, at most.
    pub(crate) share: i64,
    /// Destinations of which the session has enough.
    pub(crate) excluded: Vec<i64>,
    /// Sessions that expired up to this time are ended; 0: only those that said so.
    pub(crate) expired_until: i64,
}

/// What a session says about itself.
#[derive(Debug)]
pub(crate) enum Session {
    /// It begins, or goes on over another stream.
    Hello {
        session: Uuid,
        instance: String,
        /// How long it is good for, in microseconds.
        lease: i64,
    },
    /// It goes on.
    Renew { session: Uuid, lease: i64 },
    /// It ends.
    Goodbye { session: Uuid },
    /// It holds `held` and nothing else of what was granted before; the rest is free again, as orphaned.
    Holds {
        session: Uuid,
        held: Vec<Uuid>,
        granted_before: i64,
    },
}

/// A granted operation.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct ClaimRow {
    #[sqlx(flatten)]
    pub(in crate::store) operation: OperationRow,
    pub(crate) destination: i64,
    pub(crate) orphaned: i64,
}

impl TryFrom<&rusqlite::Row<'_>> for ClaimRow {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            operation: row.try_into()?,
            destination: row.get("destination")?,
            orphaned: row.get("orphaned")?,
        })
    }
}

pub(super) async fn claim(
    transaction: &mut impl Transaction,
    now: i64,
    claims: &Positions<'_, Claim>,
    answers: &mut Answers,
) -> Result<(), Error> {
    for (at, claim) in claims {
        let Claim {
            session,
            limit,
            share,
            excluded,
            expired_until,
        } = claim;
        let rows: Vec<ClaimRow> = transaction
            .run(
                statement::CLAIM,
                &[],
                &[
                    Value::Numbers(excluded),
                    Value::Id(*session),
                    Value::Number(now),
                    Value::Number(*expired_until),
                    Value::Number(*limit),
                    Value::Number(*share),
                ],
            )
            .await?;
        answers.set(*at, Answer::Claimed(rows));
    }
    Ok(())
}

pub(super) async fn sessions(
    transaction: &mut impl Transaction,
    now: i64,
    sessions: &Positions<'_, Session>,
    answers: &mut Answers,
) -> Result<(), Error> {
    for (at, session) in sessions {
        let goes_on = match session {
            Session::Hello {
                session,
                instance,
                lease,
            } => hello(transaction, now, (*session, instance, *lease)).await?,
            Session::Renew { session, lease } => {
                let rows: Vec<(Uuid,)> = transaction
                    .run(
                        statement::RENEW,
                        &[Column::Ids(vec![*session])],
                        &[Value::Number(now), Value::Number(now + lease)],
                    )
                    .await?;
                !rows.is_empty()
            }
            Session::Goodbye { session } => {
                let sessions = Column::Ids(vec![*session]);
                let none: Vec<(Uuid,)> = transaction
                    .run(statement::GOODBYE, &[sessions], &[])
                    .await?;
                drop(none);
                false
            }
            Session::Holds {
                session,
                held,
                granted_before,
            } => {
                let values = [
                    Value::Ids(held),
                    Value::Id(*session),
                    Value::Number(now),
                    Value::Number(*granted_before),
                ];
                let freed = undelivered(transaction, &values).await?;
                answers.set(*at, Answer::Freed(freed));
                continue;
            }
        };
        answers.set(*at, Answer::Session(goes_on));
    }
    Ok(())
}

/// Whether the session may begin: one that has ended may not come back.
async fn hello(
    transaction: &mut impl Transaction,
    now: i64,
    (session, instance, lease): (Uuid, &str, i64),
) -> Result<bool, Error> {
    let values = [
        Value::Id(session),
        Value::Text(instance),
        Value::Number(now),
        Value::Number(now + lease),
    ];
    let rows: Vec<(Uuid,)> = transaction.run(statement::HELLO, &[], &values).await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let values = [
        Value::Id(session),
        Value::Text(instance),
        Value::Number(now - REMEMBERED),
    ];
    let none: Vec<(Uuid,)> = transaction.run(statement::SUPERSEDE, &[], &values).await?;
    drop(none);
    Ok(true)
}

/// How many operations were freed.
async fn undelivered(
    transaction: &mut impl Transaction,
    values: &[Value<'_>],
) -> Result<usize, Error> {
    let rows: Vec<(Uuid,)> = transaction.run(statement::UNDELIVERED, &[], values).await?;
    let freed: HashSet<Uuid> = rows.into_iter().map(|(id,)| id).collect();
    if !freed.is_empty() {
        tracing::warn!(
            operations = freed.len(),
            "granted, and lost on the way: free again"
        );
    }
    Ok(freed.len())
}
