//! The private forms of what is stored, and the way back to the domain.

use std::borrow::Cow;

use binnacle_domain::{
    Time,
    operation::{
        Attempt, AttemptKind, AttemptResult, Exchange, Operation, OperationId, OperationType,
        Outcome, Phase, Resource, Spec, WebhookStatus,
    },
    rfc3339,
    webhook::Webhook,
};
use chrono::DateTime;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Error, definitions::Reference};

/// A specification without what has a column of its own; webhooks by reference.
#[derive(Serialize, Deserialize)]
struct StoredSpec<'a> {
    operation_type: OperationType,
    category: Cow<'a, str>,
    correlation_id: Cow<'a, str>,
    webhooks: Cow<'a, [Reference]>,
    related_resources: Cow<'a, [Resource]>,
    request_object: Cow<'a, str>,
    traceparent: Cow<'a, str>,
    #[serde(serialize_with = "rfc3339::serialize")]
    created_at: Time,
}

/// The stored form of a specification whose definitions are kept under `webhooks`.
pub(super) fn spec_to(spec: &Spec, webhooks: &[Reference]) -> String {
    let Spec {
        id: _,
        operation_type,
        category,
        resource: _,
        tenant: _,
        correlation_id,
        webhooks: _,
        related_resources,
        request_object,
        traceparent,
        created_at,
    } = spec;
    let stored = StoredSpec {
        operation_type: *operation_type,
        category: category.into(),
        correlation_id: correlation_id.into(),
        webhooks: webhooks.into(),
        related_resources: related_resources.into(),
        request_object: request_object.into(),
        traceparent: traceparent.into(),
        created_at: *created_at,
    };
    // A quote in four bytes, and what there is beside.
    long_json(&stored, request_object.len() / 4 * 5 + 512)
}

/// JSON of a value whose keys are all strings, which cannot fail.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The same, of about this many bytes: growing to that from a few takes longer than to write it.
fn long_json<T: Serialize>(value: &T, bytes: usize) -> String {
    let mut json = Vec::with_capacity(bytes);
    let written = serde_json::to_writer(&mut json, value);
    written.map_or_else(
        |_| String::new(),
        |()| String::from_utf8(json).unwrap_or_default(),
    )
}

/// An operation as both tables give it.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct OperationRow {
    pub(super) id: Uuid,
    tenant: Uuid,
    resource_type: String,
    resource_id: Uuid,
    spec: String,
    webhooks: String,
    outcome: Option<String>,
    version: i64,
    epoch: i64,
    recorded_at: i64,
    updated_at: i64,
    /// Of a finished operation.
    #[sqlx(default)]
    done_at: Option<i64>,
}

/// Of an open operation.
impl TryFrom<&rusqlite::Row<'_>> for OperationRow {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            tenant: row.get("tenant")?,
            resource_type: row.get("resource_type")?,
            resource_id: row.get("resource_id")?,
            spec: row.get("spec")?,
            webhooks: row.get("webhooks")?,
            outcome: row.get("outcome")?,
            version: row.get("version")?,
            epoch: row.get("epoch")?,
            recorded_at: row.get("recorded_at")?,
            updated_at: row.get("updated_at")?,
            done_at: None,
        })
    }
}

impl OperationRow {
    /// What leads to the webhooks that [`OperationRow::into_operation`] wants.
    pub(super) fn references(&self) -> Result<Vec<Reference>, Error> {
        #[derive(Deserialize)]
        struct References {
            webhooks: Vec<Reference>,
        }
        parse::<References>(self.id, &self.spec).map(|references| references.webhooks)
    }

    pub(super) fn into_operation(self, definitions: Vec<Webhook>) -> Result<Operation, Error> {
        let Self {
            id,
            tenant,
            resource_type,
            resource_id,
            spec,
            webhooks,
            outcome,
            version,
            epoch,
            recorded_at,
            updated_at,
            done_at,
        } = self;
        let StoredSpec {
            operation_type,
            category,
            correlation_id,
            webhooks: _,
            related_resources,
            request_object,
            traceparent,
            created_at,
        } = parse(id, &spec)?;
        let outcome: Option<Outcome> = outcome.map(|text| parse(id, &text)).transpose()?;
        let phase = match (outcome, done_at) {
            (None, _) => Phase::Running,
            (Some(outcome), None) => Phase::Concluded(outcome),
            (Some(outcome), Some(_)) => Phase::Done(outcome),
        };
        Ok(Operation {
            spec: Spec {
                id: OperationId(id),
                operation_type,
                category: category.into_owned(),
                resource: Resource {
                    kind: resource_type,
                    id: resource_id,
                },
                tenant,
                correlation_id: correlation_id.into_owned(),
                webhooks: definitions,
                related_resources: related_resources.into_owned(),
                request_object: request_object.into_owned(),
                traceparent: traceparent.into_owned(),
                created_at,
            },
            phase,
            webhooks: parse::<Vec<WebhookStatus>>(id, &webhooks)?,
            version: version.unsigned_abs(),
            epoch: epoch.unsigned_abs(),
            scheduled_at: time(recorded_at),
            updated_at: time(updated_at),
            done_at: done_at.map(time),
        })
    }
}

/// A row of the ledger.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct AttemptRow {
    operation_id: Uuid,
    webhook_id: Uuid,
    number: i64,
    count: i64,
    kind: String,
    result: String,
    started_at: i64,
    ended_at: i64,
    status_code: Option<i64>,
    request: String,
    response: String,
    error: String,
    next_attempt_at: Option<i64>,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = Error;

    fn try_from(row: AttemptRow) -> Result<Self, Error> {
        let AttemptRow {
            operation_id,
            webhook_id,
            number,
            count,
            kind,
            result,
            started_at,
            ended_at,
            status_code,
            request,
            response,
            error,
            next_attempt_at,
        } = row;
        let unreadable = || Error::Unreadable {
            id: operation_id,
            reason: format!("attempt {number} of webhook {webhook_id} is a {kind} with {result}"),
        };
        Ok(Self {
            webhook_id,
            number: u32::try_from(number).map_err(|_| unreadable())?,
            count: u32::try_from(count).map_err(|_| unreadable())?,
            kind: named(&KINDS, &kind).ok_or_else(unreadable)?,
            result: named(&RESULTS, &result).ok_or_else(unreadable)?,
            exchange: Exchange {
                started_at: time(started_at),
                ended_at: time(ended_at),
                status_code: status_code.and_then(|code| u16::try_from(code).ok()),
                request,
                response,
            },
            error,
            next_attempt_at: next_attempt_at.map(time),
        })
    }
}

const KINDS: [(AttemptKind, &str); 2] = [(AttemptKind::Call, "CALL"), (AttemptKind::Poll, "POLL")];

const RESULTS: [(AttemptResult, &str); 7] = [
    (AttemptResult::Succeeded, "SUCCEEDED"),
    (AttemptResult::Accepted, "ACCEPTED"),
    (AttemptResult::InProgress, "IN_PROGRESS"),
    (AttemptResult::Failed, "FAILED"),
    (AttemptResult::Gone, "GONE"),
    (AttemptResult::Retried, "RETRIED"),
    (AttemptResult::Unknown, "UNKNOWN"),
];

fn named<T: Copy>(names: &[(T, &'static str)], name: &str) -> Option<T> {
    let found = names.iter().find(|(_, known)| *known == name)?;
    Some(found.0)
}

fn name_of<T: PartialEq>(names: &[(T, &'static str)], value: &T) -> &'static str {
    names
        .iter()
        .find(|(known, _)| known == value)
        .map_or("", |(_, name)| *name)
}

pub(super) fn kind_name(kind: AttemptKind) -> &'static str {
    name_of(&KINDS, &kind)
}

pub(super) fn result_name(result: AttemptResult) -> &'static str {
    name_of(&RESULTS, &result)
}

pub(super) fn parse<'a, T: DeserializeOwned + 'a>(id: Uuid, text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Unreadable {
        id,
        reason: error.to_string(),
    })
}

/// A stored time. Those that are stored came from a time, so none is out of range.
pub(super) fn time(micros: i64) -> Time {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_webhook_has_not_takes_no_room_and_may_be_stored_as_null() {
        let status = WebhookStatus::new(Uuid::from_u128(1), DateTime::UNIX_EPOCH);
        let stored = json(&status);
        let earlier = r#"{"webhook_id":"00000000-0000-0000-0000-000000000001",
            "state":{"Waiting":{"from":"1970-01-01T00:00:00Z"}},"calls":0,"polls":0,"poll_url":null,
            "deadline":null,"last_poll_at":null,"last_error":"","run":null}"#;
        assert!(!stored.contains("null"), "{stored}");
        for text in [stored.as_str(), earlier] {
            let read: WebhookStatus = parse(Uuid::nil(), text).unwrap();
            assert_eq!(read, status);
        }
    }

    #[test]
    fn every_kind_and_result_has_a_name_of_its_own() {
        for (kind, name) in KINDS {
            assert_eq!(named(&KINDS, name), Some(kind));
            assert_eq!(kind_name(kind), name);
        }
        for (result, name) in RESULTS {
            assert_eq!(named(&RESULTS, name), Some(result));
            assert_eq!(result_name(result), name);
        }
    }
}
