//! What operators see: health, metrics, logs and traces.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binnacle_test_support::until;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::witness::{End, Promise, reconcile};
use crate::support::{
    Accepted, Answer, External, Mesh, PATIENCE, Replicas, Storage, on_both_databases,
};

const UNREGISTER: &str = "UNREGISTER_APPLICATION";
const CORRELATION: &str = "6f1c0de5-0000-4000-8000-c0ffee000001";

on_both_databases!(every_role_tells_its_health_and_metrics);

async fn every_role_tells_its_health_and_metrics(storage: Storage) {
    let (mut mesh, external) = (
        Mesh::roles(storage, Replicas::ONE_EACH).await,
        External::start().await,
    );
    external.script("/ok/*", [Answer::ok()]);
    let gateway = mesh.gateway();
    let webhook = external.sync(UNREGISTER, "/ok");
    let application = gateway.register("measured", json!([webhook])).await;
    let accepted = gateway.start("unregisterApplication", &application).await;
    let end = End::Removed;
    reconcile(&mesh, &external, &[Promise { accepted, end }]).await;
    for (role, prefix) in [
        ("gateway", "gateway_"),
        ("scheduler", "scheduler_"),
        ("executor", "webhook_executor_"),
        ("operations", "operations_"),
    ] {
        let base = format!("http://{}", mesh.address(role));
        for page in ["/healthz", "/readyz"] {
            let answer = gateway.get(&format!("{base}{page}")).await.unwrap();
            assert_eq!(answer.status(), 200, "{role}{page}");
        }
        let page = gateway.get(&format!("{base}/metrics")).await.unwrap();
        let kind = page.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(kind.starts_with("text/plain"), "{role}: {kind}");
        let samples = samples(&page.text().await.unwrap());
        assert!(!samples.is_empty(), "{role} measures nothing");
        let own = samples.keys().any(|name| name.starts_with(prefix));
        assert!(own, "{role}: {samples:#?}");
    }
    mesh.process("scheduler-1").kill();
    let operations = format!("http://{}/readyz", mesh.address("operations"));
    until(PATIENCE, || async {
        let page = gateway.get(&operations).await;
        page.is_ok_and(|page| page.status() == 503)
    })
    .await;
}

/// A page of metrics as Prometheus reads it.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            (name.to_owned(), value)
        })
        .collect()
}

/// Starts an operation in the name of [`CORRELATION`] whose polls are answered with these.
async fn start<const N: usize>(
    mesh: &Mesh,
    external: &External,
    name: &str,
    polls: [Answer; N],
) -> Accepted {
    let gateway = mesh.gateway();
    let mut webhook = external.asynchronous(UNREGISTER, "/jobs");
    webhook["correlationIdKey"] = "X-Correlation".into();
    let application = gateway.register(name, json!([webhook])).await;
    external.script("/jobs/*", [Answer::accepted()]);
    external.script(&format!("/jobs/{application}/status"), polls);
    let query =
        "mutation ($id: ID!) { result: unregisterApplication(id: $id, mode: ASYNC) { id } }";
    let answer = gateway
        .post(query, &json!({"id": application}))
        .header("x-request-id", CORRELATION)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    Accepted::read(&answer).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_correlation_id_is_in_the_logs_of_every_role_and_in_every_call() {
    let external = External::start().await;
    let mut mesh = Mesh::empty(Storage::Sqlite).telling(["--log", "debug"]);
    mesh.start_roles(Replicas::ONE_EACH).await;
    let polls = [Answer::status("IN_PROGRESS"), Answer::status("SUCCEEDED")];
    let accepted = start(&mesh, &external, "correlated", polls).await;
    let end = End::Removed;
    reconcile(&mesh, &external, &[Promise { accepted, end }]).await;
    let received = external.received("/jobs");
    assert_eq!(received.len(), 3, "{received:?}");
    for request in received {
        assert_eq!(request.header("x-correlation"), CORRELATION, "{request:?}");
    }
    for process in mesh.processes() {
        // A line that is being written can be read in part.
        process.terminate().await;
        let log = process.log();
        for line in log.lines() {
            let parsed = serde_json::from_str::<Value>(line);
            assert!(parsed.is_ok(), "{}: not JSON: {line}", process.name);
        }
        assert!(
            log.contains(CORRELATION),
            "{} does not tell\n{log}",
            process.name
        );
    }
}

/// A collector that keeps what it is sent.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans;
        let scopes = resources.into_iter().flat_map(|spans| spans.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans);
        self.spans.lock().unwrap().extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start(&self, tasks: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(self.clone());
        tasks.spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        address
    }

    /// The exchanges with the external system, by their traces.
    fn exchanges(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        let exchanges = spans.iter().filter(|span| span.name == "webhook exchange");
        exchanges.cloned().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_the_mutation_to_the_last_poll_over_a_restart() {
    let (external, collector) = (External::start().await, Collector::default());
    let mut tasks = JoinSet::new();
    let address = collector.start(&mut tasks).await;
    let mut mesh = Mesh::empty(Storage::Sqlite);
    mesh.add_up()
        .set("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}"));
    mesh.process("up").set("OTEL_BSP_SCHEDULE_DELAY", "200");
    mesh.start_all().await;
    let slow = Answer::status("IN_PROGRESS");
    let polls = [
        slow.clone(),
        slow.clone(),
        slow,
        Answer::status("SUCCEEDED"),
    ];
    let accepted = start(&mesh, &external, "traced", polls).await;
    let status = format!("/jobs/{}/status", accepted.application);
    until(PATIENCE, || async { external.count(&status) == 2 }).await;
    // What was before the restart has been sent, so that it can be compared.
    until(PATIENCE, || async { collector.exchanges().len() >= 2 }).await;
    mesh.process("up").kill();
    mesh.process("up").start().await;
    let end = End::Removed;
    reconcile(&mesh, &external, &[Promise { accepted, end }]).await;
    let made = external.count("/jobs");
    until(PATIENCE, || async {
        collector.exchanges().len() + 1 >= made
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;

    let exchanges = collector.exchanges();
    let traces: BTreeSet<_> = exchanges.iter().map(|span| span.trace_id.clone()).collect();
    assert_eq!(traces.len(), 1, "{exchanges:#?}");
    let trace = traces.first().unwrap();
    let spans = collector.spans.lock().unwrap().clone();
    let of_trace: Vec<_> = spans
        .iter()
        .filter(|span| span.trace_id == *trace)
        .collect();
    let mutation = of_trace.iter().find(|span| span.name.ends_with("/graphql"));
    assert!(
        mutation.is_some(),
        "the mutation is not in the trace: {of_trace:#?}"
    );
    // The external system is told the same trace.
    let id = u128::from_be_bytes(trace.as_slice().try_into().unwrap());
    let hex = format!("{id:032x}");
    for request in external.received("/jobs") {
        assert!(request.header("traceparent").contains(&hex), "{request:?}");
    }
}
