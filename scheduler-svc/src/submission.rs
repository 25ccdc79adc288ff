//! What may be recorded.

use std::collections::HashSet;

use binnacle_domain::{
    operation::{OperationId, Outcome, Spec},
    webhook::{Webhook, WebhookMode},
};
use binnacle_proto::{Invalid, common::v1 as common, scheduler::v1, uuid_from};
use serde::de::IgnoredAny;

/// Webhooks of one operation, at most.
const MAX_WEBHOOKS: usize = 100;
/// Length of a resource's type, at most.
const MAX_TYPE: usize = 64;

/// What is to be recorded, and the proof of what became of the resource's previous operation.
pub(crate) type Wanted = (Spec, Option<(OperationId, Outcome)>);

/// Reads a submission; what is wrong with it will not get better.
pub(crate) fn read(submission: v1::Submission) -> Result<Wanted, Invalid> {
    let v1::Submission { spec, previous } = submission;
    let spec: Spec = spec.ok_or_else(|| Invalid::missing("spec"))?.try_into()?;
    check(&spec)?;
    Ok((spec, previous.map(receipt).transpose()?))
}

fn receipt(receipt: common::Receipt) -> Result<(OperationId, Outcome), Invalid> {
    let common::Receipt {
        operation_id,
        outcome,
        finalize_time: _,
    } = receipt;
    let id = OperationId(uuid_from("previous.operation_id", &operation_id)?);
    let outcome = outcome.ok_or_else(|| Invalid::missing("previous.outcome"))?;
    Ok((id, outcome.into()))
}

fn check(spec: &Spec) -> Result<(), Invalid> {
    let kind = &spec.resource.kind;
    if kind.is_empty() || kind.len() > MAX_TYPE || kind.contains('\0') {
        return invalid("resource.type", "must have 1 to 64 bytes");
    }
    for (field, id) in [
        ("operation_id", spec.id.0),
        ("resource.id", spec.resource.id),
        ("tenant_id", spec.tenant),
    ] {
        if id.is_nil() {
            return invalid(field, "must not be the nil UUID");
        }
    }
    if spec.webhooks.len() > MAX_WEBHOOKS {
        return invalid("webhooks", "must not be more than 100");
    }
    let mut ids = HashSet::new();
    for webhook in &spec.webhooks {
        check_webhook(webhook)?;
        if !ids.insert(webhook.id) {
            return invalid("webhooks.id", "must not occur twice");
        }
    }
    if serde_json::from_str::<IgnoredAny>(&spec.request_object).is_err() {
        return invalid("request_object", "must be JSON");
    }
    Ok(())
}

fn check_webhook(webhook: &Webhook) -> Result<(), Invalid> {
    if webhook.url.is_some() == webhook.url_template.is_some() {
        return invalid(
            "webhooks.url",
            "exactly one of url and url_template must be given",
        );
    }
    match webhook.mode {
        Some(WebhookMode::AsyncCallback) => invalid(
            "webhooks.mode",
            "operations do not drive webhooks that call back",
        ),
        Some(WebhookMode::Async) if webhook.status_template.is_none() => {
            invalid("webhooks.status_template", "must be given with mode ASYNC")
        }
        _ => Ok(()),
    }
}

fn invalid(field: &'static str, reason: &str) -> Result<(), Invalid> {
    Err(Invalid {
        field,
        reason: reason.to_owned(),
    })
}
