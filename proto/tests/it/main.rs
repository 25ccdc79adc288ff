//! Every domain value survives the wire, and what cannot be one is refused by the field's name.

use binnacle_domain::Time;
use binnacle_domain::operation::{
    Attempt, AttemptKind, AttemptResult, Exchange, Operation, OperationId, OperationType, Outcome,
    Phase, Report, Resource, Run, Spec, Verdict, WebhookState, WebhookStatus,
};
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType};
use binnacle_proto::{common::v1, report_to, webhook_status_from, webhook_status_to};
use chrono::DateTime;
use proptest::option::of;
use proptest::prelude::*;
use uuid::Uuid;

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn time() -> impl Strategy<Value = Time> {
    (0..4_000_000_000_i64, 0..1_000_000_000_u32)
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap_or_default())
}

/// A text that is not empty: the wire has no difference between an empty text and none.
fn text() -> impl Strategy<Value = String> {
    "(?s).{1,20}"
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Succeeded),
        (text(), "(?s).{0,20}").prop_map(|(error, detail)| Outcome::Failed { error, detail }),
    ]
}

fn webhook() -> impl Strategy<Value = Webhook> {
    let kind = prop::sample::select(WebhookType::ALL.to_vec());
    let mode = of(prop::sample::select(WebhookMode::ALL.to_vec()));
    let templates = [
        of(text()),
        of(text()),
        of(text()),
        of(text()),
        of(text()),
        of(text()),
    ];
    (
        id(),
        kind,
        mode,
        of(text()),
        templates,
        of(any::<u32>()),
        of(any::<u32>()),
    )
        .prop_map(
            |(id, kind, mode, url, templates, retry_interval, timeout)| {
                let [url_template, input, header, output, status, key] = templates;
                Webhook {
                    id,
                    kind,
                    mode,
                    url,
                    url_template,
                    input_template: input,
                    header_template: header,
                    output_template: output,
                    status_template: status,
                    correlation_id_key: key,
                    retry_interval,
                    timeout,
                }
            },
        )
}

fn resource() -> impl Strategy<Value = Resource> {
    (text(), id()).prop_map(|(kind, id)| Resource { kind, id })
}

fn spec() -> impl Strategy<Value = Spec> {
    let operation_type = prop::sample::select(vec![
        OperationType::Create,
        OperationType::Update,
        OperationType::Delete,
    ]);
    let texts = [text(), text(), text(), text()];
    let webhooks = prop::collection::vec(webhook(), 0..3);
    let related = prop::collection::vec(resource(), 0..3);
    (
        id(),
        operation_type,
        texts,
        resource(),
        id(),
        webhooks,
        related,
        time(),
    )
        .prop_map(
            |(
                id,
                operation_type,
                texts,
                resource,
                tenant,
                webhooks,
                related_resources,
                created_at,
            )| {
                let [category, correlation_id, request_object, traceparent] = texts;
                Spec {
                    id: OperationId(id),
                    operation_type,
                    category,
                    resource,
                    tenant,
                    correlation_id,
                    webhooks,
                    related_resources,
                    request_object,
                    traceparent,
                    created_at,
                }
            },
        )
}

fn webhook_status() -> impl Strategy<Value = WebhookStatus> {
    let state = prop_oneof![
        time().prop_map(|from| WebhookState::Waiting { from }),
        time().prop_map(|until| WebhookState::Sent { until }),
        outcome().prop_map(WebhookState::Settled),
    ];
    let run = (1..u32::MAX, any::<u64>(), of(time()));
    let run = of(run.prop_map(|(first, fingerprint, ended_at)| Run {
        first,
        fingerprint,
        ended_at,
    }));
    let counts = (any::<u32>(), any::<u32>());
    (
        id(),
        state,
        counts,
        of(text()),
        of(time()),
        of(time()),
        "(?s).{0,20}",
        run,
    )
        .prop_map(
            |(
                webhook_id,
                state,
                (calls, polls),
                poll_url,
                deadline,
                last_poll_at,
                last_error,
                run,
            )| {
                // What a settled failure was is in its outcome.
                let failed = matches!(&state, WebhookState::Settled(Outcome::Failed { .. }));
                WebhookStatus {
                    webhook_id,
                    state,
                    calls,
                    polls,
                    poll_url,
                    deadline,
                    last_poll_at,
                    last_error: if failed { String::new() } else { last_error },
                    run,
                }
            },
        )
}

fn operation() -> impl Strategy<Value = Operation> {
    let phase = prop_oneof![
        Just(Phase::Running),
        outcome().prop_map(Phase::Concluded),
        outcome().prop_map(Phase::Done),
    ];
    let webhooks = prop::collection::vec(webhook_status(), 0..3);
    (
        spec(),
        phase,
        webhooks,
        any::<(u64, u64)>(),
        time(),
        time(),
        of(time()),
    )
        .prop_map(
            |(spec, phase, webhooks, (version, epoch), scheduled_at, updated_at, done_at)| {
                Operation {
                    spec,
                    phase,
                    webhooks,
                    version,
                    epoch,
                    scheduled_at,
                    updated_at,
                    done_at,
                }
            },
        )
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (
        time(),
        0..1_000_000_000_000_u64,
        of(1..=999_u16),
        ".{0,20}",
        ".{0,20}",
    )
        .prop_map(
            |(started_at, nanos, status_code, request, response)| Exchange {
                started_at,
                ended_at: started_at + std::time::Duration::from_nanos(nanos),
                status_code,
                request,
                response,
            },
        )
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let kind = prop::sample::select(vec![AttemptKind::Call, AttemptKind::Poll]);
    let result = prop::sample::select(vec![
        AttemptResult::Succeeded,
        AttemptResult::Accepted,
        AttemptResult::InProgress,
        AttemptResult::Failed,
        AttemptResult::Gone,
        AttemptResult::Retried,
        AttemptResult::Unknown,
    ]);
    (
        id(),
        any::<(u32, u32)>(),
        kind,
        result,
        exchange(),
        ".{0,20}",
        of(time()),
    )
        .prop_map(
            |(webhook_id, (number, count), kind, result, exchange, error, next_attempt_at)| {
                Attempt {
                    webhook_id,
                    number,
                    count,
                    kind,
                    result,
                    exchange,
                    error,
                    next_attempt_at,
                }
            },
        )
}

fn report() -> impl Strategy<Value = Report> {
    let verdict = prop_oneof![
        Just(Verdict::Succeeded),
        text().prop_map(|poll_url| Verdict::Accepted { poll_url }),
        Just(Verdict::InProgress),
        text().prop_map(|reason| Verdict::Failed { reason }),
        text().prop_map(|reason| Verdict::Gone { reason }),
        text().prop_map(|reason| Verdict::Retry { reason }),
    ];
    (any::<u16>(), any::<u32>(), verdict, exchange()).prop_map(
        |(webhook, attempt, verdict, exchange)| Report {
            webhook: webhook.into(),
            attempt,
            verdict,
            exchange,
        },
    )
}

proptest! {
    #[test]
    fn operations_survive_the_wire(operation in operation()) {
        let wire = v1::Operation::from(operation.clone());
        prop_assert_eq!(Operation::try_from(wire), Ok(operation));
    }

    #[test]
    fn the_progress_of_webhooks_survives_the_wire(status in webhook_status()) {
        prop_assert_eq!(webhook_status_from(webhook_status_to(status.clone())), Ok(status));
    }

    #[test]
    fn ledger_rows_survive_the_wire(attempt in attempt()) {
        prop_assert_eq!(Attempt::try_from(v1::Attempt::from(attempt.clone())), Ok(attempt));
    }

    #[test]
    fn reports_survive_the_wire(report in report()) {
        let wire = report_to("id".to_owned(), report.clone());
        prop_assert_eq!(Report::try_from(wire), Ok(report));
    }
}

/// A message that is good until `spoil` has been at it.
fn refusal(spoil: impl FnOnce(&mut v1::OperationSpec)) -> &'static str {
    let mut spec = v1::OperationSpec {
        operation_id: Uuid::nil().to_string(),
        operation_type: v1::OperationType::Delete.into(),
        resource: Some(v1::Resource {
            r#type: "application".to_owned(),
            id: Uuid::nil().to_string(),
        }),
        tenant_id: Uuid::nil().to_string(),
        create_time: Some(prost_types::Timestamp::default()),
        ..v1::OperationSpec::default()
    };
    assert!(Spec::try_from(spec.clone()).is_ok());
    spoil(&mut spec);
    match Spec::try_from(spec) {
        Ok(spec) => panic!("taken: {spec:?}"),
        Err(invalid) => invalid.field,
    }
}

#[test]
fn what_cannot_be_an_operation_is_refused_by_the_fields_name() {
    assert_eq!(
        refusal(|spec| spec.operation_id = "x".to_owned()),
        "operation_id"
    );
    assert_eq!(refusal(|spec| spec.operation_type = 0), "operation_type");
    assert_eq!(refusal(|spec| spec.operation_type = 77), "operation_type");
    assert_eq!(refusal(|spec| spec.resource = None), "resource");
    assert_eq!(refusal(|spec| spec.tenant_id = String::new()), "tenant_id");
    assert_eq!(refusal(|spec| spec.create_time = None), "create_time");
    assert_eq!(
        refusal(|spec| spec.webhooks = vec![v1::Webhook {
            id: Uuid::nil().to_string(),
            ..v1::Webhook::default()
        }]),
        "webhook.type"
    );
}
