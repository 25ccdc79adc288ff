//! Operations as people read them.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use comfy_table::{Table, presets};

use super::view::{AttemptView, OperationView, WebhookView};

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec());
    table
}

/// One line per operation.
pub(super) fn list(operations: &[OperationView]) -> String {
    let mut table = table(&[
        "OPERATION",
        "TYPE",
        "RESOURCE",
        "STATE",
        "CALLS",
        "POLLS",
        "ACCEPTED",
        "ENDED",
    ]);
    for view in operations {
        let webhooks = &view.status.webhooks;
        table.add_row(vec![
            view.operation_id.clone(),
            view.operation_type.clone(),
            format!("{} {}", view.resource_type, view.resource_id),
            view.status.phase.clone(),
            webhooks
                .iter()
                .map(|webhook| webhook.calls)
                .sum::<u32>()
                .to_string(),
            webhooks
                .iter()
                .map(|webhook| webhook.polls)
                .sum::<u32>()
                .to_string(),
            view.create_time
                .map(|time| moment(time, true))
                .unwrap_or_default(),
            view.status
                .done_time
                .map(|time| moment(time, true))
                .unwrap_or_default(),
        ]);
    }
    table.trim_fmt()
}

/// An operation and all that has happened to it, in order.
pub(crate) fn timeline(view: &OperationView, attempts: &[AttemptView]) -> String {
    let mut text = heading(view);
    let start = view.create_time.unwrap_or_default();
    let mut events = vec![
        (
            view.create_time,
            format!("accepted: {}", view.operation_category),
        ),
        (
            view.status.schedule_time,
            "recorded by the scheduler".to_owned(),
        ),
    ];
    for attempt in attempts {
        events.push((
            attempt.start_time,
            describe(attempt, view.webhook_ids.len()),
        ));
    }
    for webhook in &view.status.webhooks {
        if webhook.state == "WAITING" && webhook.next_attempt_time.is_some() {
            let next = if webhook.poll_url.is_empty() {
                "call"
            } else {
                "poll"
            };
            events.push((webhook.next_attempt_time, format!("the next {next} is due")));
        }
    }
    if view.status.done_time.is_some() {
        events.push((view.status.done_time, ending(view)));
    }
    // Stable, so that what happened at the same time stays in the order of cause and effect.
    events.sort_by_key(|(time, _)| time.unwrap_or_default());
    let mut table = table(&["TIME", "AFTER", "WHAT"]);
    for (time, what) in events {
        let Some(time) = time else { continue };
        table.add_row(vec![moment(time, false), after(time - start), what]);
    }
    text.push('\n');
    text.push_str(&table.trim_fmt());
    text
}

fn heading(view: &OperationView) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            table.add_row(vec![name, value]);
        }
    };
    row("Operation", &view.operation_id);
    row(
        "Type",
        &format!("{} {}", view.operation_type, view.resource_type),
    );
    row("Resource", &view.resource_id);
    row("State", &view.status.phase);
    row("Error", view.status.error.as_deref().unwrap_or_default());
    row("Reason", &view.status.detail);
    row("Tenant", &view.tenant_id);
    row("Correlation id", &view.correlation_id);
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

fn ending(view: &OperationView) -> String {
    match &view.status.error {
        None => "ended: the resource carries the outcome".to_owned(),
        Some(error) => format!("failed: {error}"),
    }
}

fn describe(attempt: &AttemptView, webhooks: usize) -> String {
    let mut text = format!("{} {}", attempt.kind.to_lowercase(), attempt.number);
    if webhooks > 1 {
        // A formatter over a `String` never fails.
        let _ = write!(text, " of webhook {}", attempt.webhook_id);
    }
    if !attempt.request.is_empty() {
        let _ = write!(text, ": {}", attempt.request);
    }
    let answer = match attempt.status_code {
        0 => String::new(),
        code => format!("{code}, "),
    };
    let _ = write!(text, " -> {answer}{}", words(&attempt.result));
    match (attempt.start_time, attempt.end_time, attempt.count) {
        (Some(start), Some(end), 0..=1) => {
            let _ = write!(text, " ({} ms)", (end - start).num_milliseconds());
        }
        (_, Some(end), count) => {
            let _ = write!(text, " ({count} times, until {})", moment(end, false));
        }
        (_, None, _) => {}
    }
    if !attempt.error.is_empty() {
        let _ = write!(text, ": {}", attempt.error);
    }
    text
}

fn words(name: &str) -> String {
    name.to_lowercase().replace('_', " ")
}

/// An operation in one line, as it stands. `with_id` where several are watched.
pub(crate) fn status_line(view: &OperationView, with_id: bool) -> String {
    let time = view
        .status
        .update_time
        .map(|time| moment(time, false))
        .unwrap_or_default();
    let mut text = format!("{time}  {:<11}", view.status.phase);
    if with_id {
        let _ = write!(text, "  {} {}", view.operation_id, view.operation_type);
    }
    for webhook in &view.status.webhooks {
        let _ = write!(text, "  {}", progress(webhook));
    }
    if let Some(error) = &view.status.error {
        let _ = write!(text, "  {error}");
    }
    text
}

fn progress(webhook: &WebhookView) -> String {
    let mut text = format!("webhook {}", words(&webhook.state));
    for (count, one) in [(webhook.calls, "call"), (webhook.polls, "poll")] {
        if count > 0 {
            let _ = write!(text, ", {count} {one}{}", if count == 1 { "" } else { "s" });
        }
    }
    if !webhook.last_error.is_empty() {
        let _ = write!(text, ": {}", webhook.last_error);
    }
    text
}

fn moment(time: DateTime<Utc>, with_date: bool) -> String {
    let format = if with_date {
        "%Y-%m-%d %H:%M:%SZ"
    } else {
        "%H:%M:%S%.3fZ"
    };
    time.format(format).to_string()
}

fn after(elapsed: TimeDelta) -> String {
    let millis = elapsed.num_milliseconds();
    format!(
        "{}{}.{:03} s",
        if millis < 0 { '-' } else { '+' },
        (millis / 1000).abs(),
        (millis % 1000).abs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_has_a_sign_and_milliseconds() {
        assert_eq!(after(TimeDelta::milliseconds(1205)), "+1.205 s");
        assert_eq!(after(TimeDelta::milliseconds(-5)), "-0.005 s");
        assert_eq!(after(TimeDelta::zero()), "+0.000 s");
    }
}
