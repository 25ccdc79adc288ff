//! The ledger, and what the executor reports.

use binnacle_domain::operation::{Attempt, AttemptKind, AttemptResult, Exchange, Report, Verdict};

use crate::{
    Invalid,
    common::v1,
    executor::v1::CallReport,
    value::{duration_from, duration_to, time_from, time_to, uuid_from},
};

impl From<Attempt> for v1::Attempt {
    fn from(attempt: Attempt) -> Self {
        let Attempt {
            webhook_id,
            number,
            count,
            kind,
            result,
            exchange,
            error,
            next_attempt_at,
        } = attempt;
        let Exchange {
            started_at,
            ended_at,
            status_code,
            request,
            response,
        } = exchange;
        let kind = match kind {
            AttemptKind::Call => v1::AttemptKind::Call,
            AttemptKind::Poll => v1::AttemptKind::Poll,
        };
        let result = match result {
            AttemptResult::Succeeded => v1::AttemptResult::Succeeded,
            AttemptResult::Accepted => v1::AttemptResult::Accepted,
            AttemptResult::InProgress => v1::AttemptResult::InProgress,
            AttemptResult::Failed => v1::AttemptResult::Failed,
            AttemptResult::Gone => v1::AttemptResult::Gone,
            AttemptResult::Retried => v1::AttemptResult::Retried,
            AttemptResult::Unknown => v1::AttemptResult::Unknown,
        };
        Self {
            webhook_id: webhook_id.to_string(),
            number,
            count,
            kind: kind.into(),
            result: result.into(),
            start_time: Some(time_to(started_at)),
            end_time: Some(time_to(ended_at)),
            status_code: status_code.map_or(0, u32::from),
            request,
            response,
            error,
            next_attempt_time: next_attempt_at.map(time_to),
        }
    }
}

fn status_code_from(code: u32) -> Result<Option<u16>, Invalid> {
    match u16::try_from(code) {
        Ok(0) => Ok(None),
        Ok(code) => Ok(Some(code)),
        Err(_) => Err(Invalid {
            field: "status_code",
            reason: "is out of range".to_owned(),
        }),
    }
}

impl TryFrom<v1::Attempt> for Attempt {
    type Error = Invalid;

    fn try_from(attempt: v1::Attempt) -> Result<Self, Invalid> {
        let v1::Attempt {
            webhook_id,
            number,
            count,
            kind,
            result,
            start_time,
            end_time,
            status_code,
            request,
            response,
            error,
            next_attempt_time,
        } = attempt;
        let kind = match v1::AttemptKind::try_from(kind) {
            Ok(v1::AttemptKind::Call) => AttemptKind::Call,
            Ok(v1::AttemptKind::Poll) => AttemptKind::Poll,
            Ok(v1::AttemptKind::Unspecified) | Err(_) => {
                return Err(Invalid::missing("attempts.kind"));
            }
        };
        let result = match v1::AttemptResult::try_from(result) {
            Ok(v1::AttemptResult::Succeeded) => AttemptResult::Succeeded,
            Ok(v1::AttemptResult::Accepted) => AttemptResult::Accepted,
            Ok(v1::AttemptResult::InProgress) => AttemptResult::InProgress,
            Ok(v1::AttemptResult::Failed) => AttemptResult::Failed,
            Ok(v1::AttemptResult::Gone) => AttemptResult::Gone,
            Ok(v1::AttemptResult::Retried) => AttemptResult::Retried,
            Ok(v1::AttemptResult::Unknown) => AttemptResult::Unknown,
            Ok(v1::AttemptResult::Unspecified) | Err(_) => {
                return Err(Invalid::missing("attempts.result"));
            }
        };
        Ok(Self {
            webhook_id: uuid_from("attempts.webhook_id", &webhook_id)?,
            number,
            count,
            kind,
            result,
            exchange: Exchange {
                started_at: time_from("attempts.start_time", start_time)?,
                ended_at: time_from("attempts.end_time", end_time)?,
                status_code: status_code_from(status_code)?,
                request,
                response,
            },
            error,
            next_attempt_at: next_attempt_time
                .map(|t| time_from("attempts.next_attempt_time", Some(t)))
                .transpose()?,
        })
    }
}

/// The wire form of a report about an operation.
pub fn report_to(operation_id: String, report: Report) -> CallReport {
    let Report {
        webhook,
        attempt,
        verdict,
        exchange,
    } = report;
    let Exchange {
        started_at,
        ended_at,
        status_code,
        request,
        response,
    } = exchange;
    let none = String::new;
    let (result, poll_url, error) = match verdict {
        Verdict::Succeeded => (v1::AttemptResult::Succeeded, none(), none()),
        Verdict::Accepted { poll_url } => (v1::AttemptResult::Accepted, poll_url, none()),
        Verdict::InProgress => (v1::AttemptResult::InProgress, none(), none()),
        Verdict::Failed { reason } => (v1::AttemptResult::Failed, none(), reason),
        Verdict::Gone { reason } => (v1::AttemptResult::Gone, none(), reason),
        Verdict::Retry { reason } => (v1::AttemptResult::Retried, none(), reason),
    };
    CallReport {
        operation_id,
        webhook_index: u32::try_from(webhook).unwrap_or(u32::MAX),
        attempt,
        result: result.into(),
        poll_url,
        error,
        start_time: Some(time_to(started_at)),
        elapsed: Some(duration_to(ended_at - started_at)),
        status_code: status_code.map_or(0, u32::from),
        request,
        response,
    }
}

impl TryFrom<CallReport> for Report {
    type Error = Invalid;

    fn try_from(report: CallReport) -> Result<Self, Invalid> {
        let CallReport {
            operation_id: _,
            webhook_index,
            attempt,
            result,
            poll_url,
            error,
            start_time,
            elapsed,
            status_code,
            request,
            response,
        } = report;
        let verdict = match v1::AttemptResult::try_from(result) {
            Ok(v1::AttemptResult::Succeeded) => Verdict::Succeeded,
            Ok(v1::AttemptResult::Accepted) => Verdict::Accepted { poll_url },
            Ok(v1::AttemptResult::InProgress) => Verdict::InProgress,
            Ok(v1::AttemptResult::Failed) => Verdict::Failed { reason: error },
            Ok(v1::AttemptResult::Gone) => Verdict::Gone { reason: error },
            Ok(v1::AttemptResult::Retried) => Verdict::Retry { reason: error },
            Ok(v1::AttemptResult::Unknown | v1::AttemptResult::Unspecified) | Err(_) => {
                return Err(Invalid::missing("reports.result"));
            }
        };
        let started_at = time_from("reports.start_time", start_time)?;
        let elapsed = elapsed.ok_or_else(|| Invalid::missing("reports.elapsed"))?;
        Ok(Self {
            webhook: webhook_index as usize,
            attempt,
            verdict,
            exchange: Exchange {
                started_at,
                ended_at: started_at + duration_from("reports.elapsed", elapsed)?,
                status_code: status_code_from(status_code)?,
                request,
                response,
            },
        })
    }
}
