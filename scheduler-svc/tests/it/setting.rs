//! A scheduler that runs, and a worker to talk to it.

use std::collections::VecDeque;
use std::time::Duration;

use binnacle_boot::database::DatabaseUrl;
use binnacle_boot::{Context, grpc, ids};
use binnacle_proto::common::v1 as common;
use binnacle_proto::scheduler::v1;
use binnacle_proto::scheduler::v1::scheduler_service_client::SchedulerServiceClient;
use binnacle_test_support::{Postgres, Scratch, scratch};
use prometheus::proto::MetricFamily;
use scheduler_svc::Config;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing that is awaited takes this long; what must not happen has not happened by then.
pub(crate) const A_WHILE: Duration = Duration::from_millis(300);

/// A database that outlives the schedulers on it.
pub(crate) struct Db {
    pub(crate) url: DatabaseUrl,
    _scratch: Option<Scratch>,
}

impl Db {
    pub(crate) fn sqlite() -> Self {
        let scratch = scratch();
        Self {
            url: DatabaseUrl::Sqlite(scratch.path().to_owned()),
            _scratch: Some(scratch),
        }
    }

    pub(crate) fn postgres() -> Self {
        Self {
            url: Postgres::shared().create_database().parse().unwrap(),
            _scratch: None,
        }
    }

    pub(crate) async fn start(&self) -> Scheduler {
        self.start_with_lease(Duration::from_secs(15)).await
    }

    pub(crate) async fn start_with_lease(&self, lease: Duration) -> Scheduler {
        let mut config = Config::new(self.url.clone());
        config.lease = lease;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = Context::new();
        let (running, shutdown) = (context.clone(), context.shutdown.clone());
        shutdown.spawn(async move {
            scheduler_svc::run(config, listener, running).await.unwrap();
        });
        tokio::time::timeout(PATIENCE, context.readiness.wait_until_started())
            .await
            .unwrap();
        let client = SchedulerServiceClient::new(grpc::channel(address, &context.in_process));
        Scheduler { client, context }
    }
}

pub(crate) struct Scheduler {
    pub(crate) client: SchedulerServiceClient<grpc::Channel>,
    pub(crate) context: Context,
}

impl Scheduler {
    pub(crate) async fn stop(self) {
        let Self { client, context } = self;
        drop(client);
        context.shutdown.drain(Duration::from_secs(12)).await;
    }

    pub(crate) async fn submit(
        &self,
        submissions: Vec<v1::Submission>,
    ) -> Vec<v1::SubmissionResult> {
        let request = v1::ScheduleRequest { submissions };
        let response = self.client.clone().schedule(request).await.unwrap();
        response.into_inner().results
    }

    pub(crate) async fn submit_one(&self, spec: common::OperationSpec) -> v1::SubmissionResult {
        let submission = v1::Submission {
            spec: Some(spec),
            previous: None,
        };
        self.submit(vec![submission]).await.remove(0)
    }

    /// Records an operation and gives its id.
    pub(crate) async fn record(&self, spec: common::OperationSpec) -> String {
        let result = self.submit_one(spec).await;
        assert_eq!(result.state(), v1::SubmissionState::Recorded, "{result:?}");
        result.operation_id
    }

    pub(crate) async fn try_get(&self, id: &str) -> Result<common::Operation, Status> {
        let request = v1::GetOperationRequest {
            operation_id: id.to_owned(),
        };
        let response = self.client.clone().get_operation(request).await?;
        Ok(response.into_inner().operation.unwrap())
    }

    pub(crate) async fn phase(&self, id: &str) -> common::Phase {
        let status = self.try_get(id).await.unwrap().status.unwrap();
        status.phase()
    }

    pub(crate) async fn attempts(&self, id: &str) -> Vec<common::Attempt> {
        let request = v1::ListAttemptsRequest {
            operation_id: id.to_owned(),
        };
        let response = self.client.clone().list_attempts(request).await.unwrap();
        response.into_inner().attempts
    }

    /// The value of a counter, or how often a histogram was told something.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let families = self.context.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        family
            .into_iter()
            .flat_map(MetricFamily::get_metric)
            .map(|metric| {
                let histogram = metric.get_histogram().get_sample_count();
                metric.get_counter().get_value() + f64::from(u32::try_from(histogram).unwrap())
            })
            .sum()
    }

    pub(crate) async fn worker(&self, capacity: u32) -> Worker {
        let instance = ids::v4().to_string();
        self.worker_of(&instance, &ids::v4().to_string(), capacity)
            .await
    }

    pub(crate) async fn worker_of(&self, instance: &str, session: &str, capacity: u32) -> Worker {
        self.worker_with(instance, session, capacity, &[])
            .await
            .unwrap()
    }

    pub(crate) async fn worker_with(
        &self,
        instance: &str,
        session: &str,
        capacity: u32,
        held: &[&str],
    ) -> Result<Worker, Status> {
        let (sender, frames) = mpsc::channel(64);
        let hello = v1::Hello {
            instance_id: instance.to_owned(),
            session_id: session.to_owned(),
            held_operation_ids: held.iter().map(|id| (*id).to_owned()).collect(),
        };
        let first = v1::WorkRequest {
            hello: Some(hello),
            capacity: Some(capacity),
            ..Default::default()
        };
        sender.send(first).await.unwrap();
        let inbound = self
            .client
            .clone()
            .work(ReceiverStream::new(frames))
            .await?;
        let mut worker = Worker {
            sender,
            inbound: inbound.into_inner(),
            grants: VecDeque::new(),
            saved: VecDeque::new(),
            renewed: 0,
        };
        let welcome = worker.inbound.message().await?.unwrap();
        assert!(welcome.welcome.is_some(), "{welcome:?}");
        worker.keep(welcome);
        Ok(worker)
    }
}

pub(crate) struct Worker {
    sender: mpsc::Sender<v1::WorkRequest>,
    inbound: Streaming<v1::WorkResponse>,
    grants: VecDeque<v1::Grant>,
    saved: VecDeque<v1::Saved>,
    renewed: u32,
}

impl Worker {
    fn keep(&mut self, frame: v1::WorkResponse) {
        self.grants.extend(frame.grants);
        self.saved.extend(frame.saved);
        self.renewed += u32::from(frame.renewed_for.is_some());
    }

    pub(crate) async fn say(&self, frame: v1::WorkRequest) {
        self.sender.send(frame).await.unwrap();
    }

    /// The next frame, or how the stream ended.
    pub(crate) async fn listen(&mut self) -> Result<(), Status> {
        let frame = tokio::time::timeout(PATIENCE, self.inbound.message())
            .await
            .expect("nothing comes")?;
        match frame {
            Some(frame) => self.keep(frame),
            None => return Err(Status::cancelled("the stream has ended")),
        }
        Ok(())
    }

    pub(crate) async fn grant(&mut self) -> v1::Grant {
        loop {
            if let Some(grant) = self.grants.pop_front() {
                return grant;
            }
            self.listen().await.unwrap();
        }
    }

    pub(crate) fn has_grant(&self) -> bool {
        !self.grants.is_empty()
    }

    /// That nothing is granted for a while.
    pub(crate) async fn expect_no_grant(&mut self) {
        let waited = tokio::time::timeout(A_WHILE, self.grant()).await;
        assert!(waited.is_err(), "{waited:?}");
    }

    pub(crate) async fn saved(&mut self) -> v1::Saved {
        loop {
            if let Some(saved) = self.saved.pop_front() {
                return saved;
            }
            self.listen().await.unwrap();
        }
    }

    pub(crate) async fn report(&mut self, report: v1::Report) -> v1::Saved {
        self.say(v1::WorkRequest {
            reports: vec![report],
            ..Default::default()
        })
        .await;
        self.saved().await
    }

    pub(crate) async fn done(&mut self, id: &str, epoch: u64) -> v1::Saved {
        self.done_with(id, epoch, None).await
    }

    pub(crate) async fn done_with(
        &mut self,
        id: &str,
        epoch: u64,
        outcome: Option<common::Outcome>,
    ) -> v1::Saved {
        let done = v1::Done {
            operation_id: id.to_owned(),
            epoch,
            outcome,
        };
        self.say(v1::WorkRequest {
            dones: vec![done],
            ..Default::default()
        })
        .await;
        self.saved().await
    }

    pub(crate) async fn release(&mut self, grant: &v1::Grant, retry_in: Duration) {
        let release = v1::Release {
            operation_id: id_of(grant),
            epoch: epoch_of(grant),
            retry_in: Some(span(retry_in)),
        };
        self.say(v1::WorkRequest {
            releases: vec![release],
            ..Default::default()
        })
        .await;
    }

    pub(crate) async fn capacity(&self, capacity: u32) {
        self.say(v1::WorkRequest {
            capacity: Some(capacity),
            ..Default::default()
        })
        .await;
    }

    /// Renews the session.
    pub(crate) async fn heartbeat(&mut self, held: Option<Vec<String>>) -> Result<(), Status> {
        let before = self.renewed;
        self.say(v1::WorkRequest {
            heartbeat: true,
            held: held.map(|operation_ids| v1::Held { operation_ids }),
            ..Default::default()
        })
        .await;
        while self.renewed == before {
            self.listen().await?;
        }
        Ok(())
    }

    /// Says goodbye and waits for the end of the stream.
    pub(crate) async fn goodbye(mut self) {
        self.say(v1::WorkRequest {
            goodbye: true,
            ..Default::default()
        })
        .await;
        while self.listen().await.is_ok() {}
    }

    /// Carries a granted operation to its end.
    pub(crate) async fn finish(&mut self, grant: &v1::Grant, outcome: common::Outcome) {
        let saved = self.report(conclusion(grant, outcome)).await;
        assert!(saved.ok, "{saved:?}");
        let saved = self.done(&id_of(grant), epoch_of(grant)).await;
        assert!(saved.ok, "{saved:?}");
    }
}

pub(crate) fn span(span: Duration) -> prost_types::Duration {
    span.try_into().unwrap()
}

pub(crate) fn id_of(grant: &v1::Grant) -> String {
    let operation = grant.operation.clone().unwrap();
    operation.spec.unwrap().operation_id
}

pub(crate) fn status_of(grant: &v1::Grant) -> common::OperationStatus {
    grant.operation.clone().unwrap().status.unwrap()
}

pub(crate) fn epoch_of(grant: &v1::Grant) -> u64 {
    status_of(grant).epoch
}

/// A report that nothing has changed.
pub(crate) fn progress(grant: &v1::Grant) -> v1::Report {
    let status = status_of(grant);
    v1::Report {
        operation_id: id_of(grant),
        epoch: status.epoch,
        version: status.version,
        webhooks: status.webhooks,
        attempts: Vec::new(),
        concluded: None,
        release_for: None,
    }
}

/// A report that the operation is concluded.
pub(crate) fn conclusion(grant: &v1::Grant, outcome: common::Outcome) -> v1::Report {
    v1::Report {
        concluded: Some(outcome),
        ..progress(grant)
    }
}

pub(crate) fn success() -> common::Outcome {
    common::Outcome {
        succeeded: true,
        ..Default::default()
    }
}

pub(crate) fn failure(error: &str) -> common::Outcome {
    common::Outcome {
        succeeded: false,
        error: error.to_owned(),
        detail: "because".to_owned(),
    }
}

/// An unregistration of a resource of its own, with one webhook.
pub(crate) fn spec() -> common::OperationSpec {
    spec_of(ids::v4(), "http://system.example/path")
}

pub(crate) fn spec_of(resource: Uuid, url: &str) -> common::OperationSpec {
    common::OperationSpec {
        operation_id: ids::v7().to_string(),
        operation_type: common::OperationType::Delete.into(),
        operation_category: "unregisterApplication".to_owned(),
        resource: Some(common::Resource {
            r#type: "application".to_owned(),
            id: resource.to_string(),
        }),
        tenant_id: "3e64ebae-38b5-46a0-b1ed-9ccee153a0ae".to_owned(),
        correlation_id: "a correlation".to_owned(),
        webhooks: vec![common::Webhook {
            id: "0d5e6f9a-8a41-4c3e-9d1e-000000000001".to_owned(),
            r#type: "UNREGISTER_APPLICATION".to_owned(),
            mode: common::WebhookMode::Sync.into(),
            url: Some(url.to_owned()),
            input_template: Some("{\"quoted \\\" text\": \"ü\"}".to_owned()),
            timeout_seconds: Some(60),
            ..Default::default()
        }],
        related_resources: vec![common::Resource {
            r#type: "runtime".to_owned(),
            id: ids::v4().to_string(),
        }],
        request_object: r#"{"Application":{"name":"a\"b\u0000c"}}"#.to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        create_time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 123_456_000,
        }),
    }
}

pub(crate) fn receipt(id: &str, outcome: common::Outcome) -> common::Receipt {
    common::Receipt {
        operation_id: id.to_owned(),
        outcome: Some(outcome),
        finalize_time: Some(prost_types::Timestamp {
            seconds: 1_700_000_000,
            nanos: 0,
        }),
    }
}
