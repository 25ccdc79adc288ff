//! One HTTP exchange: from a call to its report.

use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use binnacle_boot::{clock, failpoint, telemetry};
use binnacle_domain::operation::{Exchange, Report, Verdict};
use binnacle_domain::webhook::{Answer, Decision};
use binnacle_proto::executor::v1::{Call, CallReport};
use binnacle_proto::report_to;
use chrono::TimeDelta;
use futures::FutureExt;
use reqwest::{Client, Request, Response};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, info_span};

use crate::bulkhead::Bulkhead;
use crate::call::{Owed, Prepared, Unsendable};
use crate::metrics::Metrics;
use crate::redact::Redactor;

/// The longest location that is kept to be polled.
const MAX_LOCATION_BYTES: usize = 8 << 10;

/// The longest body of an answer, after decompression.
const MAX_ANSWER_BYTES: usize = 2 << 20;

/// What every exchange needs.
pub(crate) struct Exchanges {
    pub(crate) client: Client,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) redactor: Redactor,
    pub(crate) metrics: Metrics,
    pub(crate) timeout: Duration,
}

/// What came of an exchange, fit to be told.
struct Told {
    verdict: Verdict,
    status_code: Option<u16>,
    request: String,
    response: String,
}

impl Told {
    fn without_exchange(verdict: Verdict) -> Self {
        Self {
            verdict,
            status_code: None,
            request: String::new(),
            response: String::new(),
        }
    }
}

/// An answer as it was received.
struct Received {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Exchanges {
    /// Makes the exchange that `call` asks for. Whatever happens is its report.
    pub(crate) async fn perform(&self, call: Call, arrived: Instant) -> CallReport {
        let _calls = Counted::new(self);
        let operation_id = call.operation_id.clone();
        let (webhook, attempt) = (call.webhook_index as usize, call.attempt);
        let span = info_span!(
            "webhook exchange",
            otel.kind = "client",
            correlation.id = call.correlation_id,
            operation.id = operation_id,
            webhook.index = webhook,
            webhook.attempt = attempt,
            http.status_code = tracing::field::Empty,
        );
        let parent = Some(call.traceparent.as_str()).filter(|text| !text.is_empty());
        telemetry::set_parent(&span, parent);
        let (started, started_at) = (Instant::now(), clock::now());
        let exchange = AssertUnwindSafe(self.exchange(call, arrived).instrument(span.clone()));
        let told = exchange.catch_unwind().await.unwrap_or_else(|_| {
            let reason = "the executor failed inside".to_owned();
            Told::without_exchange(Verdict::Retry { reason })
        });
        let elapsed = started.elapsed();
        span.in_scope(|| tracing::debug!(?elapsed, "called"));
        self.count(&told, elapsed);
        let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
        let exchange = Exchange {
            started_at,
            ended_at: started_at + elapsed,
            status_code: told.status_code,
            request: told.request,
            response: told.response,
        };
        let report = Report {
            webhook,
            attempt,
            verdict: told.verdict,
            exchange,
        };
        report_to(operation_id, report)
    }

    fn count(&self, told: &Told, elapsed: Duration) {
        let result = match told.verdict {
            Verdict::Succeeded => "succeeded",
            Verdict::Accepted { .. } => "accepted",
            Verdict::InProgress => "in_progress",
            Verdict::Failed { .. } => "failed",
            Verdict::Gone { .. } => "gone",
            Verdict::Retry { .. } => "retried",
        };
        self.metrics.exchanges.with_label_values(&[result]).inc();
        self.metrics.seconds.observe(elapsed.as_secs_f64());
    }

    async fn exchange(&self, call: Call, arrived: Instant) -> Told {
        let traceparent = telemetry::traceparent()
            .or_else(|| Some(call.traceparent.clone()).filter(|text| !text.is_empty()));
        let owed = match Owed::try_from(call) {
            Ok(owed) => owed,
            Err(invalid) => {
                let reason = self.redactor.text(&invalid.to_string(), &[]);
                return Told::without_exchange(Verdict::Failed { reason });
            }
        };
        let Prepared { request, url } = match owed.prepare(&self.client, traceparent) {
            Ok(prepared) => prepared,
            Err(Unsendable::Call(invalid)) => {
                let reason = self.redactor.text(&invalid.to_string(), &[]);
                return Told::without_exchange(Verdict::Failed { reason });
            }
            Err(Unsendable::Webhook(error)) => {
                let reason = self.redactor.text(&error.to_string(), &[]);
                return Told::without_exchange(Verdict::Failed { reason });
            }
            Err(Unsendable::Request(cause)) => {
                let reason = self.redactor.text(&failure(&owed, &cause), &[]);
                return Told::without_exchange(Verdict::Retry { reason });
            }
        };
        let line = self.redactor.line(request.method().as_str(), &url);
        let secrets = self.redactor.secrets(&url, request.headers());
        let end = arrived + self.timeout.min(owed.valid_for);
        let answer = timeout_at(end, self.send(request)).await;
        failpoint::reach("executor.sent");
        let told = match answer {
            Ok(Ok(received)) => self.told(&owed, &received, &secrets),
            Ok(Err(cause)) => self.unanswered(&owed, &cause, &secrets),
            Err(_) => {
                let waited = end.saturating_duration_since(arrived).as_secs_f64();
                self.unanswered(&owed, &format!("no answer within {waited:.1} s"), &secrets)
            }
        };
        Told {
            request: line,
            ..told
        }
    }

    /// Sends when there is room, and reads the answer whole. An error is the cause in words.
    async fn send(&self, request: Request) -> Result<Received, String> {
        let url = request.url();
        let destination = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let _room = self.bulkhead.room(destination).await;
        let answer = self.client.execute(request).await.map_err(cause)?;
        receive(answer).await
    }

    fn told(&self, owed: &Owed, received: &Received, secrets: &[String]) -> Told {
        let Received {
            status,
            headers,
            body,
        } = received;
        let verdict = match owed.interpret(*status, headers, body) {
            Ok(Answer {
                decision, error, ..
            }) => verdict(decision, error),
            Err(error) => Verdict::Failed {
                reason: error.to_string(),
            },
        };
        Told {
            verdict: self.without_secrets(verdict, secrets),
            status_code: Some(*status),
            request: String::new(),
            response: self.redactor.body(body, secrets),
        }
    }

    fn unanswered(&self, owed: &Owed, cause: &str, secrets: &[String]) -> Told {
        let reason = self.redactor.text(&failure(owed, cause), secrets);
        Told::without_exchange(Verdict::Retry { reason })
    }

    fn without_secrets(&self, verdict: Verdict, secrets: &[String]) -> Verdict {
        let text = |reason: String| self.redactor.text(&reason, secrets);
        match verdict {
            Verdict::Failed { reason } => Verdict::Failed {
                reason: text(reason),
            },
            Verdict::Gone { reason } => Verdict::Gone {
                reason: text(reason),
            },
            Verdict::Retry { reason } => Verdict::Retry {
                reason: text(reason),
            },
            other @ (Verdict::Succeeded | Verdict::Accepted { .. } | Verdict::InProgress) => other,
        }
    }
}

fn verdict(decision: Decision, error: Option<String>) -> Verdict {
    match decision {
        Decision::Succeeded => Verdict::Succeeded,
        Decision::Accepted { poll_url } if poll_url.len() > MAX_LOCATION_BYTES => Verdict::Retry {
            reason: format!("the location is longer than {MAX_LOCATION_BYTES} bytes"),
        },
        Decision::Accepted { poll_url } if poll_url.contains('\0') => Verdict::Retry {
            reason: "the location holds a zero byte".to_owned(),
        },
        Decision::Accepted { poll_url } => Verdict::Accepted { poll_url },
        Decision::InProgress => Verdict::InProgress,
        Decision::Failed { reason } => Verdict::Failed { reason },
        Decision::Gone => Verdict::Gone {
            reason: error.unwrap_or_default(),
        },
        Decision::Retry { reason } => Verdict::Retry { reason },
    }
}

async fn receive(mut answer: Response) -> Result<Received, String> {
    let status = answer.status().as_u16();
    Span::current().record("http.status_code", status);
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await.map_err(cause)? {
        if body.len() + part.len() > MAX_ANSWER_BYTES {
            return Err(format!(
                "answered with status {status} and a body longer than {MAX_ANSWER_BYTES} bytes"
            ));
        }
        body.extend_from_slice(&part);
    }
    Ok(Received {
        status,
        headers,
        body,
    })
}

/// A failure in Compass's words.
fn failure(owed: &Owed, cause: &str) -> String {
    let doing = match owed.poll_url {
        Some(_) => "while executing webhook for poll",
        None => "while initially executing webhook",
    };
    format!("{doing}: {cause}")
}

/// An error of the client and what is behind it, without the address: the ledger has it.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

/// A call that is counted for as long as it is under way.
struct Counted<'a>(&'a Exchanges);

impl<'a> Counted<'a> {
    fn new(exchanges: &'a Exchanges) -> Self {
        exchanges.metrics.calls.inc();
        Self(exchanges)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.metrics.calls.dec();
    }
}
