//! How far an operation has come.

use binnacle_domain::operation::{
    Operation, Outcome, Phase, Run, Spec, WebhookState, WebhookStatus,
};

use crate::{
    Invalid,
    common::v1,
    value::{time_from, time_to, uuid_from},
};

impl From<Outcome> for v1::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self {
                succeeded: true,
                error: String::new(),
                detail: String::new(),
            },
            Outcome::Failed { error, detail } => Self {
                succeeded: false,
                error,
                detail,
            },
        }
    }
}

impl From<v1::Outcome> for Outcome {
    fn from(
        v1::Outcome {
            succeeded,
            error,
            detail,
        }: v1::Outcome,
    ) -> Self {
        if succeeded {
            Self::Succeeded
        } else {
            Self::Failed { error, detail }
        }
    }
}

/// The wire form of a webhook's progress.
pub fn webhook_status_to(status: WebhookStatus) -> v1::WebhookStatus {
    let WebhookStatus {
        webhook_id,
        state,
        calls,
        polls,
        poll_url,
        deadline,
        last_poll_at,
        last_error,
        run,
    } = status;
    let (state, next, failure) = match state {
        WebhookState::Waiting { from } => (v1::WebhookState::Waiting, Some(from), None),
        WebhookState::Sent { until } => (v1::WebhookState::Sent, Some(until), None),
        WebhookState::Settled(Outcome::Succeeded) => (v1::WebhookState::Succeeded, None, None),
        WebhookState::Settled(Outcome::Failed { error, detail }) => {
            (v1::WebhookState::Failed, None, Some((error, detail)))
        }
    };
    let (last_error, failure_detail) = failure.unwrap_or((last_error, String::new()));
    v1::WebhookStatus {
        webhook_id: webhook_id.to_string(),
        state: state.into(),
        calls,
        polls,
        poll_url: poll_url.unwrap_or_default(),
        next_attempt_time: next.map(time_to),
        deadline: deadline.map(time_to),
        last_poll_time: last_poll_at.map(time_to),
        last_error,
        run_first_number: run.map_or(0, |run| run.first),
        run_fingerprint: run.map_or(0, |run| run.fingerprint),
        run_end_time: run.and_then(|run| run.ended_at).map(time_to),
        failure_detail,
    }
}

/// A webhook's progress from the wire.
pub fn webhook_status_from(status: v1::WebhookStatus) -> Result<WebhookStatus, Invalid> {
    let v1::WebhookStatus {
        webhook_id,
        state,
        calls,
        polls,
        poll_url,
        next_attempt_time,
        deadline,
        last_poll_time,
        last_error,
        run_first_number,
        run_fingerprint,
        run_end_time,
        failure_detail,
    } = status;
    let next = || time_from("webhooks.next_attempt_time", next_attempt_time);
    let mut kept = last_error;
    let state = match v1::WebhookState::try_from(state) {
        Ok(v1::WebhookState::Waiting) => WebhookState::Waiting { from: next()? },
        Ok(v1::WebhookState::Sent) => WebhookState::Sent { until: next()? },
        Ok(v1::WebhookState::Succeeded) => WebhookState::Settled(Outcome::Succeeded),
        Ok(v1::WebhookState::Failed) => WebhookState::Settled(Outcome::Failed {
            error: std::mem::take(&mut kept),
            detail: failure_detail,
        }),
        Ok(v1::WebhookState::Unspecified) | Err(_) => {
            return Err(Invalid::missing("webhooks.state"));
        }
    };
    let time = |field, time: Option<_>| time.map(|t| time_from(field, Some(t))).transpose();
    let run_ended_at = time("webhooks.run_end_time", run_end_time)?;
    Ok(WebhookStatus {
        webhook_id: uuid_from("webhooks.webhook_id", &webhook_id)?,
        state,
        calls,
        polls,
        poll_url: Some(poll_url).filter(|url| !url.is_empty()),
        deadline: time("webhooks.deadline", deadline)?,
        last_poll_at: time("webhooks.last_poll_time", last_poll_time)?,
        last_error: kept,
        run: (run_first_number > 0).then_some(Run {
            first: run_first_number,
            fingerprint: run_fingerprint,
            ended_at: run_ended_at,
        }),
    })
}

fn conditions(phase: v1::Phase, outcome: Option<&v1::Outcome>) -> Vec<v1::Condition> {
    let ended = matches!(phase, v1::Phase::Succeeded | v1::Phase::Failed);
    let failed = phase == v1::Phase::Failed;
    let message = outcome
        .filter(|_| failed)
        .map(|o| o.error.clone())
        .unwrap_or_default();
    vec![
        v1::Condition {
            r#type: "Ready".to_owned(),
            status: ended,
            message: String::new(),
        },
        v1::Condition {
            r#type: "Error".to_owned(),
            status: failed,
            message,
        },
    ]
}

impl From<Operation> for v1::Operation {
    fn from(operation: Operation) -> Self {
        let Operation {
            spec,
            phase,
            webhooks,
            version,
            epoch,
            scheduled_at,
            updated_at,
            done_at,
        } = operation;
        let (phase, outcome) = match phase {
            Phase::Running => (v1::Phase::InProgress, None),
            Phase::Concluded(outcome) => (v1::Phase::Finalizing, Some(outcome)),
            Phase::Done(Outcome::Succeeded) => (v1::Phase::Succeeded, Some(Outcome::Succeeded)),
            Phase::Done(outcome) => (v1::Phase::Failed, Some(outcome)),
        };
        let outcome = outcome.map(v1::Outcome::from);
        Self {
            spec: Some(spec.into()),
            status: Some(v1::OperationStatus {
                phase: phase.into(),
                conditions: conditions(phase, outcome.as_ref()),
                webhooks: webhooks.into_iter().map(webhook_status_to).collect(),
                outcome,
                version,
                epoch,
                schedule_time: Some(time_to(scheduled_at)),
                update_time: Some(time_to(updated_at)),
                done_time: done_at.map(time_to),
            }),
        }
    }
}

impl TryFrom<v1::Operation> for Operation {
    type Error = Invalid;

    fn try_from(v1::Operation { spec, status }: v1::Operation) -> Result<Self, Invalid> {
        let spec: Spec = spec.ok_or_else(|| Invalid::missing("spec"))?.try_into()?;
        let v1::OperationStatus {
            phase,
            conditions: _,
            webhooks,
            outcome,
            version,
            epoch,
            schedule_time,
            update_time,
            done_time,
        } = status.ok_or_else(|| Invalid::missing("status"))?;
        let outcome = || {
            outcome
                .map(Outcome::from)
                .ok_or_else(|| Invalid::missing("status.outcome"))
        };
        let phase = match v1::Phase::try_from(phase) {
            Ok(v1::Phase::InProgress) => Phase::Running,
            Ok(v1::Phase::Finalizing) => Phase::Concluded(outcome()?),
            Ok(v1::Phase::Succeeded | v1::Phase::Failed) => Phase::Done(outcome()?),
            Ok(v1::Phase::Unspecified) | Err(_) => return Err(Invalid::missing("status.phase")),
        };
        Ok(Self {
            spec,
            phase,
            webhooks: webhooks
                .into_iter()
                .map(webhook_status_from)
                .collect::<Result<_, _>>()?,
            version,
            epoch,
            scheduled_at: time_from("status.schedule_time", schedule_time)?,
            updated_at: time_from("status.update_time", update_time)?,
            done_at: done_time
                .map(|t| time_from("status.done_time", Some(t)))
                .transpose()?,
        })
    }
}
