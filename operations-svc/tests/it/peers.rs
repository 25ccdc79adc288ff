//! A scheduler, an executor and a registry that do what a test says.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binnacle_boot::Context;
use binnacle_domain::Time;
use binnacle_domain::operation::{Operation, OperationType, Resource, Spec};
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType};
use binnacle_proto::common::v1::{self as common, AttemptResult, OperationStatus};
use binnacle_proto::director::v1::director_service_server::{
    DirectorService, DirectorServiceServer,
};
use binnacle_proto::director::v1::{
    AcceptRequest, AcceptResponse, FinalizationResult, FinalizationState, FinalizeRequest,
    FinalizeResponse,
};
use binnacle_proto::executor::v1 as executor;
use binnacle_proto::executor::v1::executor_service_server::{
    ExecutorService, ExecutorServiceServer,
};
use binnacle_proto::scheduler::v1 as scheduler;
use binnacle_proto::scheduler::v1::scheduler_service_server::{
    SchedulerService, SchedulerServiceServer,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Both ends of a stream that a worker has opened.
pub(crate) struct Stream<Q, A> {
    pub(crate) frames: Streaming<Q>,
    answers: mpsc::Sender<Result<A, Status>>,
}

impl<Q, A> Stream<Q, A> {
    pub(crate) async fn say(&self, answer: A) {
        self.answers.send(Ok(answer)).await.ok().unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Option<Q> {
        soon("a frame", self.frames.message()).await.ok().flatten()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the peers end with the test's runtime"
)]
fn background<F: Future<Output: Send> + Send + 'static>(task: F) -> JoinHandle<F::Output> {
    tokio::spawn(task)
}

type Opened<Q, A> = mpsc::Sender<Stream<Q, A>>;
type Answers<A> = ReceiverStream<Result<A, Status>>;

async fn open<Q, A>(
    opened: &Opened<Q, A>,
    request: Request<Streaming<Q>>,
) -> Result<Response<Answers<A>>, Status> {
    let (answers, receiver) = mpsc::channel(64);
    let frames = request.into_inner();
    let stream = Stream { frames, answers };
    let refused = |_| Status::unavailable("the test takes no more streams");
    opened.send(stream).await.map_err(refused)?;
    Ok(Response::new(ReceiverStream::new(receiver)))
}

struct Scheduler(Opened<scheduler::WorkRequest, scheduler::WorkResponse>);

#[tonic::async_trait]
impl SchedulerService for Scheduler {
    type WorkStream = Answers<scheduler::WorkResponse>;
    type WatchOperationsStream = Answers<scheduler::WatchOperationsResponse>;

    async fn work(
        &self,
        request: Request<Streaming<scheduler::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        open(&self.0, request).await
    }

    async fn schedule(
        &self,
        _: Request<scheduler::ScheduleRequest>,
    ) -> Result<Response<scheduler::ScheduleResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_operation(
        &self,
        _: Request<scheduler::GetOperationRequest>,
    ) -> Result<Response<scheduler::GetOperationResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_operations(
        &self,
        _: Request<scheduler::ListOperationsRequest>,
    ) -> Result<Response<scheduler::ListOperationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_attempts(
        &self,
        _: Request<scheduler::ListAttemptsRequest>,
    ) -> Result<Response<scheduler::ListAttemptsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn watch_operations(
        &self,
        _: Request<scheduler::WatchOperationsRequest>,
    ) -> Result<Response<Self::WatchOperationsStream>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct Executor(Opened<executor::ExecuteRequest, executor::ExecuteResponse>);

#[tonic::async_trait]
impl ExecutorService for Executor {
    type ExecuteStream = Answers<executor::ExecuteResponse>;

    async fn execute(
        &self,
        request: Request<Streaming<executor::ExecuteRequest>>,
    ) -> Result<Response<Self::ExecuteStream>, Status> {
        open(&self.0, request).await
    }
}

/// What the registry says to the outcomes that it is handed, in turn; then that they are applied.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    answers: Arc<Mutex<VecDeque<Result<FinalizationResult, Status>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    pub(crate) fn will_say(&self, answer: Result<FinalizationResult, Status>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// The operations that it was asked about, as often as it was.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn answer(
        &self,
        finalization: binnacle_proto::director::v1::Finalization,
    ) -> Result<FinalizationResult, Status> {
        self.asked
            .lock()
            .unwrap()
            .push(finalization.operation_id.clone());
        let answer = self.answers.lock().unwrap().pop_front();
        let applied = FinalizationResult {
            operation_id: String::new(),
            state: FinalizationState::Applied.into(),
            outcome: finalization.outcome,
        };
        let answer = answer.unwrap_or(Ok(applied))?;
        Ok(FinalizationResult {
            operation_id: finalization.operation_id,
            ..answer
        })
    }
}

#[tonic::async_trait]
impl DirectorService for Registry {
    async fn accept(&self, _: Request<AcceptRequest>) -> Result<Response<AcceptResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn finalize(
        &self,
        request: Request<FinalizeRequest>,
    ) -> Result<Response<FinalizeResponse>, Status> {
        let finalizations = request.into_inner().finalizations;
        let results = finalizations
            .into_iter()
            .map(|finalization| self.answer(finalization))
            .collect::<Result<_, _>>()?;
        Ok(Response::new(FinalizeResponse { results }))
    }
}

/// A worker and all its peers.
pub(crate) struct Mesh {
    schedulers: mpsc::Receiver<Stream<scheduler::WorkRequest, scheduler::WorkResponse>>,
    executors: mpsc::Receiver<Stream<executor::ExecuteRequest, executor::ExecuteResponse>>,
    pub(crate) registry: Registry,
    pub(crate) context: Context,
    pub(crate) config: operations_svc::Config,
    worker: JoinHandle<Result<(), operations_svc::Error>>,
    _directory: TempDir,
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

impl Mesh {
    pub(crate) async fn start() -> Self {
        Self::with_schedulers(1).await
    }

    /// With so many schedulers, whose streams come in any order.
    pub(crate) async fn with_schedulers(count: usize) -> Self {
        let listeners = [listener().await, listener().await];
        let addresses = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap().into());
        let (opened, schedulers) = mpsc::channel(8);
        let (opened_too, executors) = mpsc::channel(8);
        let registry = Registry::default();
        let [second, third] = listeners.map(TcpListenerStream::new);
        let server = tonic::transport::Server::builder;
        let mut at_schedulers = Vec::new();
        for _ in 0..count {
            let listener = listener().await;
            at_schedulers.push(listener.local_addr().unwrap().to_string());
            let service = SchedulerServiceServer::new(Scheduler(opened.clone()));
            let incoming = TcpListenerStream::new(listener);
            background(server().add_service(service).serve_with_incoming(incoming));
        }
        let service = ExecutorServiceServer::new(Executor(opened_too));
        background(server().add_service(service).serve_with_incoming(second));
        let service = DirectorServiceServer::new(registry.clone());
        background(server().add_service(service).serve_with_incoming(third));

        let directory = tempfile::tempdir().unwrap();
        let [at_executors, at_directors] = addresses;
        let config = operations_svc::Config {
            schedulers: at_schedulers.join(",").parse().unwrap(),
            executors: at_executors,
            directors: at_directors,
            data_dir: PathBuf::from(directory.path()),
            capacity: 32,
        };
        let context = Context::new();
        let run = operations_svc::run(config.clone(), listener().await, context.clone());
        Self {
            schedulers,
            executors,
            registry,
            context,
            config,
            worker: background(run),
            _directory: directory,
        }
    }

    /// The next stream to the scheduler, welcomed with this lease.
    pub(crate) async fn work(&mut self, lease: Duration) -> Work {
        let mut stream = soon("a worker", self.schedulers.recv()).await.unwrap();
        let hello = stream.hear().await.unwrap().hello.unwrap();
        let welcome = scheduler::Welcome {
            lease: prost_types::Duration::try_from(lease).ok(),
        };
        stream
            .say(scheduler::WorkResponse {
                welcome: Some(welcome),
                ..Default::default()
            })
            .await;
        Work {
            hello,
            lease,
            renews: true,
            stream,
            heard: scheduler::WorkRequest::default(),
        }
    }

    /// The next stream to the executor, welcomed.
    pub(crate) async fn execute(&mut self) -> Execute {
        let mut stream = soon("a worker", self.executors.recv()).await.unwrap();
        stream.hear().await.unwrap().hello.unwrap();
        let welcome = Some(executor::Welcome { capacity: 8 });
        stream
            .say(executor::ExecuteResponse {
                welcome,
                reports: Vec::new(),
            })
            .await;
        Execute {
            stream,
            calls: VecDeque::new(),
            aborted: VecDeque::new(),
        }
    }

    /// Stops the worker while its peers listen.
    pub(crate) async fn stop_with(self, execute: Execute, mut work: Work) {
        self.context.shutdown.trigger();
        drop(execute);
        assert!(work.goodbye().await);
        drop(work);
        self.stopped().await;
    }

    /// The same worker with the same peers, started again after its end.
    pub(crate) async fn restarted(self) -> Self {
        soon("the end", self.worker).await.unwrap().unwrap();
        let context = Context::new();
        let run = operations_svc::run(self.config.clone(), listener().await, context.clone());
        Self {
            context,
            worker: background(run),
            ..self
        }
    }

    pub(crate) async fn stopped(self) {
        soon("the end", self.worker).await.unwrap().unwrap();
        assert!(self.context.shutdown.drain(PATIENCE).await);
    }
}

/// A scheduler's end of a worker's stream.
pub(crate) struct Work {
    pub(crate) hello: scheduler::Hello,
    lease: Duration,
    /// Whether heartbeats are answered.
    pub(crate) renews: bool,
    stream: Stream<scheduler::WorkRequest, scheduler::WorkResponse>,
    /// What was heard and not looked at.
    heard: scheduler::WorkRequest,
}

impl Work {
    pub(crate) async fn grant(&self, operation: &Operation, orphaned: bool) {
        let grant = scheduler::Grant {
            operation: Some(operation.clone().into()),
            orphaned,
            now_unix_micros: now().timestamp_micros(),
        };
        self.stream
            .say(scheduler::WorkResponse {
                grants: vec![grant],
                ..Default::default()
            })
            .await;
    }

    pub(crate) async fn saved(&self, operation_id: &str, version: u64, ok: bool) {
        let saved = scheduler::Saved {
            operation_id: operation_id.to_owned(),
            epoch: EPOCH,
            ok,
            version,
        };
        self.stream
            .say(scheduler::WorkResponse {
                saved: vec![saved],
                ..Default::default()
            })
            .await;
    }

    /// Listens until `look` finds something; answers heartbeats meanwhile. `None`: the stream ended.
    async fn until<T>(
        &mut self,
        look: impl Fn(&mut scheduler::WorkRequest) -> Option<T>,
    ) -> Option<T> {
        loop {
            if let Some(found) = look(&mut self.heard) {
                return Some(found);
            }
            let frame = self.stream.hear().await?;
            self.heard.reports.extend(frame.reports);
            self.heard.releases.extend(frame.releases);
            self.heard.dones.extend(frame.dones);
            self.heard.capacity = frame.capacity.or(self.heard.capacity);
            self.heard.goodbye |= frame.goodbye;
            self.heard.heartbeat |= frame.heartbeat;
            self.heard.held = frame.held;
            if frame.heartbeat && self.renews {
                self.stream
                    .say(scheduler::WorkResponse {
                        renewed_for: prost_types::Duration::try_from(self.lease).ok(),
                        ..Default::default()
                    })
                    .await;
            }
        }
    }

    pub(crate) async fn report(&mut self) -> scheduler::Report {
        let first = |heard: &mut scheduler::WorkRequest| {
            (!heard.reports.is_empty()).then(|| heard.reports.remove(0))
        };
        self.until(first).await.unwrap()
    }

    pub(crate) async fn release(&mut self) -> scheduler::Release {
        let first = |heard: &mut scheduler::WorkRequest| {
            (!heard.releases.is_empty()).then(|| heard.releases.remove(0))
        };
        self.until(first).await.unwrap()
    }

    pub(crate) async fn done(&mut self) -> scheduler::Done {
        let first = |heard: &mut scheduler::WorkRequest| {
            (!heard.dones.is_empty()).then(|| heard.dones.remove(0))
        };
        self.until(first).await.unwrap()
    }

    pub(crate) async fn capacity(&mut self) -> u32 {
        self.until(|heard| heard.capacity.take()).await.unwrap()
    }

    /// The next heartbeat, and what it says is held.
    pub(crate) async fn heartbeat(&mut self) -> Option<scheduler::Held> {
        let next = |heard: &mut scheduler::WorkRequest| {
            std::mem::take(&mut heard.heartbeat).then(|| heard.held.take())
        };
        self.until(next).await.unwrap()
    }

    /// Listens to the end; whether it was a goodbye.
    pub(crate) async fn goodbye(&mut self) -> bool {
        self.until(|heard| heard.goodbye.then_some(()))
            .await
            .is_some()
    }

    pub(crate) fn nothing_but_heartbeats(&self) -> bool {
        self.heard.reports.is_empty() && self.heard.dones.is_empty()
    }
}

/// An executor's end of a worker's stream.
pub(crate) struct Execute {
    stream: Stream<executor::ExecuteRequest, executor::ExecuteResponse>,
    calls: VecDeque<executor::Call>,
    aborted: VecDeque<String>,
}

impl Execute {
    async fn listen(&mut self) -> Option<prost_types::Duration> {
        let frame = self.stream.hear().await.unwrap();
        self.calls.extend(frame.calls);
        self.aborted.extend(frame.abort_operation_ids);
        frame.session_valid_for
    }

    pub(crate) async fn call(&mut self) -> executor::Call {
        while self.calls.is_empty() {
            self.listen().await;
        }
        self.calls.pop_front().unwrap()
    }

    pub(crate) async fn abort(&mut self) -> String {
        while self.aborted.is_empty() {
            self.listen().await;
        }
        self.aborted.pop_front().unwrap()
    }

    pub(crate) async fn valid_for(&mut self) -> Duration {
        loop {
            if let Some(valid) = self.listen().await {
                return valid.try_into().unwrap();
            }
        }
    }

    pub(crate) async fn report(&self, call: &executor::Call, result: AttemptResult) {
        let report = executor::CallReport {
            operation_id: call.operation_id.clone(),
            webhook_index: call.webhook_index,
            attempt: call.attempt,
            result: result.into(),
            poll_url: match result {
                AttemptResult::Accepted => "http://system.test/status".to_owned(),
                _ => String::new(),
            },
            error: match result {
                AttemptResult::Retried | AttemptResult::Failed => "not today".to_owned(),
                _ => String::new(),
            },
            start_time: Some(binnacle_proto::time_to(now())),
            elapsed: Some(prost_types::Duration::default()),
            status_code: 200,
            request: "GET http://system.test/".to_owned(),
            response: "{}".to_owned(),
        };
        self.stream
            .say(executor::ExecuteResponse {
                welcome: None,
                reports: vec![report],
            })
            .await;
    }
}

pub(crate) const EPOCH: u64 = 3;
pub(crate) const LEASE: Duration = Duration::from_secs(15);

pub(crate) fn now() -> Time {
    binnacle_boot::clock::now()
}

pub(crate) fn webhook() -> Webhook {
    Webhook {
        id: binnacle_boot::ids::v4(),
        kind: WebhookType::UnregisterApplication,
        mode: Some(WebhookMode::Sync),
        url: Some("http://system.test/".to_owned()),
        url_template: None,
        input_template: None,
        header_template: None,
        output_template: Some(r#"{"success_status_code":200,"error":""}"#.to_owned()),
        status_template: None,
        correlation_id_key: None,
        retry_interval: Some(1),
        timeout: None,
    }
}

/// An operation as it is granted, due now.
pub(crate) fn operation(webhooks: Vec<Webhook>) -> Operation {
    let spec = Spec {
        id: binnacle_domain::operation::OperationId(binnacle_boot::ids::v7()),
        operation_type: OperationType::Delete,
        category: "unregisterApplication".to_owned(),
        resource: Resource {
            kind: "application".to_owned(),
            id: Uuid::nil(),
        },
        tenant: Uuid::nil(),
        correlation_id: "correlation".to_owned(),
        webhooks,
        related_resources: Vec::new(),
        request_object: "{}".to_owned(),
        traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        created_at: now(),
    };
    let mut operation = Operation::new(spec, now());
    operation.epoch = EPOCH;
    operation.version = 5;
    operation
}

pub(crate) fn id(operation: &Operation) -> String {
    operation.spec.id.to_string()
}

pub(crate) fn answer(state: FinalizationState) -> FinalizationResult {
    FinalizationResult {
        operation_id: String::new(),
        state: state.into(),
        outcome: None,
    }
}

/// The operation as a scheduler has it after a report.
pub(crate) fn after(operation: &Operation, report: &scheduler::Report) -> Operation {
    let granted: common::Operation = operation.clone().into();
    let status = OperationStatus {
        webhooks: report.webhooks.clone(),
        version: report.version + 1,
        ..granted.status.unwrap()
    };
    common::Operation {
        status: Some(status),
        ..granted
    }
    .try_into()
    .unwrap()
}
