//! What is said on a worker's stream, in the words of the contract.

use std::time::Duration;

use binnacle_domain::operation::{Attempt, OperationId, Outcome};
use binnacle_proto::{
    Invalid, common::v1 as common, duration_from, scheduler::v1, uuid_from, webhook_status_from,
};
use tonic::Status;
use uuid::Uuid;

use crate::{
    store::{self, Save},
    workers::Outgoing,
};

/// What the grants of one frame may weigh.
const FRAME_BYTES: usize = 1024 * 1024;

/// Frames of a weight that every client takes.
pub(super) fn frames_of(
    items: Vec<Outgoing>,
    lease: prost_types::Duration,
) -> Vec<Result<v1::WorkResponse, Status>> {
    let mut frames = Vec::new();
    let mut frame = v1::WorkResponse::default();
    let mut weight = 0;
    for item in items {
        match item {
            Outgoing::Welcome => frame.welcome = Some(v1::Welcome { lease: Some(lease) }),
            Outgoing::Saved(saved) => frame.saved.push(saved),
            Outgoing::Renewed => frame.renewed_for = Some(lease),
            Outgoing::Granted(grant) => {
                let added = prost::Message::encoded_len(&*grant);
                if weight > 0 && weight + added > FRAME_BYTES {
                    frames.push(Ok(std::mem::take(&mut frame)));
                    weight = 0;
                }
                weight += added;
                frame.grants.push(*grant);
            }
            Outgoing::Refused(status) => {
                if frame != v1::WorkResponse::default() {
                    frames.push(Ok(frame));
                }
                frames.push(Err(status));
                return frames;
            }
        }
    }
    frames.push(Ok(frame));
    frames
}

pub(super) fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: span.as_secs().cast_signed(),
        nanos: span.subsec_nanos().cast_signed(),
    }
}

pub(super) fn save_from(report: v1::Report) -> Result<Save, Invalid> {
    let v1::Report {
        operation_id,
        epoch,
        version,
        webhooks,
        attempts,
        concluded,
        release_for,
    } = report;
    let webhooks: Vec<_> = webhooks
        .into_iter()
        .map(webhook_status_from)
        .collect::<Result<_, _>>()?;
    Ok(Save {
        id: OperationId(uuid_from("reports.operation_id", &operation_id)?),
        epoch: epoch.cast_signed(),
        version: version.cast_signed(),
        webhooks: store::webhooks_to(&webhooks),
        outcome: concluded.map(|outcome| store::outcome_to(&Outcome::from(outcome))),
        release_for: micros("reports.release_for", release_for)?,
        attempts: attempts
            .into_iter()
            .map(attempt_from)
            .collect::<Result<_, _>>()?,
    })
}

/// External systems may answer anything, and PostgreSQL keeps no text with a zero byte.
fn attempt_from(attempt: common::Attempt) -> Result<Attempt, Invalid> {
    let mut attempt = Attempt::try_from(attempt)?;
    for text in [
        &mut attempt.exchange.request,
        &mut attempt.exchange.response,
        &mut attempt.error,
    ] {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    Ok(attempt)
}

pub(super) fn micros(
    field: &'static str,
    span: Option<prost_types::Duration>,
) -> Result<Option<i64>, Invalid> {
    let span = span.map(|span| duration_from(field, span)).transpose()?;
    Ok(span.map(|span| span.num_microseconds().unwrap_or(i64::MAX / 4)))
}

pub(super) fn ids(field: &'static str, texts: &[String]) -> Result<Vec<Uuid>, Invalid> {
    texts.iter().map(|text| uuid_from(field, text)).collect()
}
