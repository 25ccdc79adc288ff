//! A worker's end of the executor's stream.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use binnacle_boot::Context;
use binnacle_proto::common::v1::{Webhook, WebhookMode};
use binnacle_proto::executor::v1::executor_service_client::ExecutorServiceClient;
use binnacle_proto::executor::v1::{Call, CallReport, ExecuteRequest, ExecuteResponse, Hello};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use webhook_executor::Config;

use crate::target::background;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const OPERATION: &str = "018f0000-0000-7000-8000-000000000001";
pub(crate) const WEBHOOK: &str = "018f0000-0000-7000-8000-0000000000aa";

/// A running executor. Stops when it is dropped.
pub(crate) struct Executor {
    pub(crate) address: SocketAddr,
    pub(crate) context: Context,
}

impl Executor {
    pub(crate) async fn start() -> Self {
        Self::with(Config {
            capacity: 16,
            exchange_timeout: Duration::from_secs(10),
        })
        .await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = Context::new();
        background(webhook_executor::run(config, listener, context.clone()));
        Self { address, context }
    }

    pub(crate) async fn client(&self) -> ExecutorServiceClient<tonic::transport::Channel> {
        let address = format!("http://{}", self.address);
        ExecutorServiceClient::connect(address).await.unwrap()
    }

    /// A stream that has been welcomed.
    pub(crate) async fn worker(&self) -> Worker {
        let (frames, receiver) = mpsc::channel(64);
        let hello = Hello {
            session_id: "session".to_owned(),
        };
        frames
            .send(ExecuteRequest {
                hello: Some(hello),
                ..Default::default()
            })
            .await
            .unwrap();
        let mut client = self.client().await;
        let opened = client.execute(ReceiverStream::new(receiver)).await;
        let mut worker = Worker {
            frames,
            answers: opened.unwrap().into_inner(),
            reports: VecDeque::new(),
            capacity: None,
        };
        worker.capacity().await;
        worker
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.context.shutdown.trigger();
    }
}

pub(crate) struct Worker {
    frames: mpsc::Sender<ExecuteRequest>,
    answers: Streaming<ExecuteResponse>,
    reports: VecDeque<CallReport>,
    capacity: Option<u32>,
}

impl Worker {
    async fn listen(&mut self) -> Result<bool, Status> {
        let frame = tokio::time::timeout(PATIENCE, self.answers.message());
        let Some(frame) = frame.await.expect("a frame did not come")? else {
            return Ok(false);
        };
        self.reports.extend(frame.reports);
        if let Some(welcome) = frame.welcome {
            self.capacity = Some(welcome.capacity);
        }
        Ok(true)
    }

    pub(crate) async fn capacity(&mut self) -> u32 {
        loop {
            if let Some(capacity) = self.capacity.take() {
                return capacity;
            }
            assert!(self.listen().await.unwrap());
        }
    }

    pub(crate) async fn say(&self, frame: ExecuteRequest) {
        self.frames.send(frame).await.unwrap();
    }

    pub(crate) async fn call(&self, calls: Vec<Call>) {
        self.say(ExecuteRequest {
            calls,
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn report(&mut self) -> CallReport {
        loop {
            if let Some(report) = self.reports.pop_front() {
                return report;
            }
            assert!(self.listen().await.unwrap(), "the stream ended");
        }
    }

    /// Listens until the stream ends; the reports that came until then.
    pub(crate) async fn end(mut self) -> Vec<CallReport> {
        while let Ok(true) = self.listen().await {}
        self.reports.into()
    }

    pub(crate) async fn exchange(&mut self, call: Call) -> CallReport {
        self.call(vec![call]).await;
        self.report().await
    }
}

/// A call of a SYNC webhook at `url`.
pub(crate) fn call(url: &str) -> Call {
    let url_template = serde_json::json!({"method": "POST", "path": url}).to_string();
    let webhook = Webhook {
        id: WEBHOOK.to_owned(),
        r#type: "UNREGISTER_APPLICATION".to_owned(),
        mode: WebhookMode::Sync.into(),
        url: None,
        url_template: Some(url_template),
        input_template: None,
        header_template: None,
        output_template: Some(
            r#"{"success_status_code":200,"error":"{{.Body.error}}"}"#.to_owned(),
        ),
        status_template: None,
        correlation_id_key: None,
        retry_interval_seconds: None,
        timeout_seconds: None,
    };
    Call {
        operation_id: OPERATION.to_owned(),
        webhook_index: 0,
        attempt: 1,
        webhook: Some(webhook),
        request_object: r#"{"Application":{"id":"a"},"TenantID":"t","Headers":{}}"#.to_owned(),
        correlation_id: "correlation".to_owned(),
        poll_url: String::new(),
        valid_for: Some(prost_types::Duration {
            seconds: 10,
            nanos: 0,
        }),
        traceparent: String::new(),
    }
}
