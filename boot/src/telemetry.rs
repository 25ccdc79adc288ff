//! Logs and traces.
//!
//! Log lines go to standard error, so that standard output belongs to a command's answer. Traces
//! leave over OTLP when an endpoint is configured, and cost nothing otherwise. The context of a
//! trace travels as a W3C `traceparent`: over gRPC in the metadata, over HTTP in a header, and in
//! whatever is stored to be gone on with later as plain text.
//!
//! The span of a piece of work carries the caller's correlation id in its field `correlation.id`,
//! so that every line of the work does.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tonic::Status;
use tonic::metadata::MetadataValue;
use tracing::{Instrument, Span, Subscriber, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, fmt};

use opentelemetry::propagation::TextMapPropagator;

const TRACEPARENT: &str = "traceparent";
/// What may leave this process as a span. The libraries that carry the export would otherwise
/// report on themselves.
const EXPORTED: &str = "info,hyper=off,hyper_util=off,h2=off,tonic=off,tower=off,reqwest=off";
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// What is logged and where traces go.
#[derive(Clone, Debug)]
pub struct Options {
    pub format: Format,
    /// Levels by module, as in `info,sqlx=warn`.
    pub filter: String,
    /// The gRPC endpoint of an OTLP collector, as in `http://127.0.0.1:4317`.
    pub otlp_endpoint: Option<String>,
    /// The name under which traces are filed.
    pub service: &'static str,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("not a log filter: {filter}; give a level, or levels by module as in info,sqlx=warn")]
    Filter { filter: String, source: ParseError },
    #[error("cannot export traces to {endpoint}")]
    Exporter {
        endpoint: String,
        source: ExporterBuildError,
    },
    #[error("logging has been set up already")]
    Twice(#[from] TryInitError),
}

/// Running telemetry. [`Telemetry::flush`] it before the process ends.
#[derive(Debug)]
#[must_use]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Sets up logs and traces for the whole process. Needs a runtime when there is an endpoint.
pub fn start(options: Options) -> Result<Telemetry, Error> {
    let Options {
        format,
        filter,
        otlp_endpoint,
        service,
    } = options;
    let filter = EnvFilter::builder()
        .parse(&filter)
        .map_err(|source| Error::Filter { filter, source })?;
    let traces = otlp_endpoint
        .map(|endpoint| provider(&endpoint, service))
        .transpose()?;
    let exporting = traces.as_ref().map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer("binnacle"))
            .with_filter(EnvFilter::new(EXPORTED))
    });
    tracing_subscriber::registry()
        .with(lines(format).with_filter(filter))
        .with(exporting)
        .try_init()?;
    Ok(Telemetry { traces })
}

fn lines<S>(format: Format) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = fmt::layer().with_writer(std::io::stderr);
    match format {
        Format::Human => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
            layer.with_ansi(colours).with_target(false).boxed()
        }
        Format::Json => layer
            .json()
            .flatten_event(true)
            .with_span_list(true)
            .boxed(),
    }
}

fn provider(endpoint: &str, service: &'static str) -> Result<SdkTracerProvider, Error> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .map_err(|source| Error::Exporter {
            endpoint: endpoint.to_owned(),
            source,
        })?;
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

impl Telemetry {
    /// Sends what has not been sent, giving up after a few seconds.
    pub async fn flush(self) {
        let Some(traces) = self.traces else { return };
        let ended =
            tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_LIMIT)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// The context of the current span, to be sent or stored; `None` when no trace is kept.
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::with_capacity(2);
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes `span`, which nobody has entered yet, a part of the trace that `traceparent` names.
/// Anything else than a valid context is ignored.
pub fn set_parent(span: &Span, traceparent: Option<&str>) {
    let Some(traceparent) = traceparent else {
        return;
    };
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // A span that no trace is kept for has no parent to set.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}

/// An interceptor that sends the current context along with a gRPC call.
pub fn inject(mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
    let value = traceparent().and_then(|context| MetadataValue::try_from(context).ok());
    if let Some(value) = value {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
    Ok(request)
}

/// Runs every request of `router` in a span that goes on with the caller's trace.
pub fn traced(router: Router) -> Router {
    router.layer(from_fn(trace))
}

async fn trace(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let span = info_span!(
        "request",
        otel.name = path,
        otel.kind = "server",
        method = %request.method(),
        path,
        correlation.id = tracing::field::Empty,
    );
    let parent = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| value.to_str().ok());
    set_parent(&span, parent);
    next.run(request).instrument(span).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Runs `check` with a subscriber that keeps traces and sends them nowhere.
    fn traced_by(check: impl FnOnce()) {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), check);
    }

    #[test]
    fn a_stored_context_is_gone_on_with() {
        traced_by(|| {
            let span = info_span!("work");
            set_parent(&span, Some(CONTEXT));
            let sent = span.in_scope(traceparent).unwrap();
            let parts: Vec<_> = sent.split('-').collect();
            assert_eq!(parts[1], "0af7651916cd43dd8448eb211c80319c");
            assert_ne!(
                parts[2], "b7ad6b7169203331",
                "the span has an id of its own"
            );
        });
    }

    #[test]
    fn a_context_that_makes_no_sense_starts_a_new_trace() {
        traced_by(|| {
            let span = info_span!("work");
            set_parent(&span, Some("00-zz-1-01"));
            assert!(span.in_scope(traceparent).is_some());
        });
    }

    #[test]
    fn without_traces_there_is_nothing_to_send() {
        assert_eq!(traceparent(), None);
        let request = inject(tonic::Request::new(())).unwrap();
        assert!(request.metadata().is_empty());
    }

    #[test]
    fn a_grpc_call_carries_the_context_of_its_span() {
        traced_by(|| {
            let request = info_span!("call")
                .in_scope(|| inject(tonic::Request::new(())))
                .unwrap();
            assert!(request.metadata().contains_key(TRACEPARENT));
        });
    }
}
