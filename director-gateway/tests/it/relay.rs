//! What waits in the outbox goes to a scheduler.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use binnacle_boot::database::DatabaseUrl;
use binnacle_boot::grpc::{self, InProcess};
use binnacle_domain::operation::OperationType;
use binnacle_proto::scheduler::v1::{
    GetOperationRequest, GetOperationResponse, ListAttemptsRequest, ListAttemptsResponse,
    ListOperationsRequest, ListOperationsResponse, ScheduleRequest, ScheduleResponse, Submission,
    SubmissionResult, SubmissionState, WatchOperationsRequest, WatchOperationsResponse,
    WorkRequest, WorkResponse, scheduler_service_client::SchedulerServiceClient,
    scheduler_service_server::SchedulerService, scheduler_service_server::SchedulerServiceServer,
};
use binnacle_test_support::{Postgres, scratch, stop_clock, until};
use director_gateway::operations::{Queue, relay};
use futures::{StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::operations::Gateway;

/// A scheduler that records whatever it is sent.
#[derive(Clone, Default)]
struct Scheduler {
    recorded: Arc<Mutex<HashSet<String>>>,
    /// How many operations there were in each request.
    requests: watch::Sender<Vec<usize>>,
    /// So many requests it does not answer unless it is told to.
    stuck: Arc<AtomicUsize>,
    answer: Arc<Notify>,
    /// Such a request was given up.
    given_up: Arc<AtomicBool>,
}

/// A request that is not answered yet.
struct Stuck(Arc<AtomicBool>);

impl Drop for Stuck {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Silence<T> = stream::Empty<Result<T, Status>>;

fn unimplemented<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented(""))
}

#[tonic::async_trait]
impl SchedulerService for Scheduler {
    type WorkStream = Silence<WorkResponse>;
    type WatchOperationsStream = Silence<WatchOperationsResponse>;

    async fn schedule(
        &self,
        request: Request<ScheduleRequest>,
    ) -> Result<Response<ScheduleResponse>, Status> {
        let submissions = request.into_inner().submissions;
        self.requests
            .send_modify(|requests| requests.push(submissions.len()));
        let recorded = |submission: Submission| {
            let id = submission.spec.unwrap().operation_id;
            self.recorded.lock().unwrap().insert(id.clone());
            let mut result = SubmissionResult {
                operation_id: id,
                ..SubmissionResult::default()
            };
            result.set_state(SubmissionState::Recorded);
            result
        };
        let results = submissions.into_iter().map(recorded).collect();
        let one_less = |left: usize| left.checked_sub(1);
        let taken = self
            .stuck
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if taken.is_ok() {
            let _stuck = Stuck(Arc::clone(&self.given_up));
            self.answer.notified().await;
        }
        Ok(Response::new(ScheduleResponse { results }))
    }

    async fn work(
        &self,
        _: Request<Streaming<WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        unimplemented()
    }

    async fn get_operation(
        &self,
        _: Request<GetOperationRequest>,
    ) -> Result<Response<GetOperationResponse>, Status> {
        unimplemented()
    }

    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        unimplemented()
    }

    async fn list_attempts(
        &self,
        _: Request<ListAttemptsRequest>,
    ) -> Result<Response<ListAttemptsResponse>, Status> {
        unimplemented()
    }

    async fn watch_operations(
        &self,
        _: Request<WatchOperationsRequest>,
    ) -> Result<Response<Self::WatchOperationsStream>, Status> {
        unimplemented()
    }
}

/// Far more than one claim takes; where there is nothing to send, claims come every five seconds.
const MANY: usize = 2_560;

async fn many_overdue_operations_are_sent_one_claim_after_another(gateway: Gateway) {
    all_are_sent(gateway, MANY, Scheduler::default()).await;
}

/// Relays from the queue and the outbox to the scheduler.
///
/// # Panics
///
/// When either ends.
async fn relaying(gateway: &Gateway, queue: Queue, scheduler: Scheduler) -> Infallible {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(SchedulerServiceServer::new(scheduler))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let channel = grpc::channel(address, &InProcess::default());
    let relay = relay(
        gateway.operations.clone(),
        queue,
        SchedulerServiceClient::new(channel),
        gateway.shutdown.clone(),
    );
    tokio::select! {
        () = relay => panic!("the relay has ended"),
        ended = server => panic!("the scheduler has ended: {ended:?}"),
    }
}

/// Whether a request was given up before all had arrived.
async fn all_are_sent(gateway: Gateway, count: usize, scheduler: Scheduler) -> bool {
    stream::iter(0..count)
        .for_each_concurrent(256, async |_| {
            let application = gateway.application().await;
            let proposal = gateway.proposal(application, OperationType::Delete);
            gateway.accepted(proposal).await;
        })
        .await;
    gateway.all_are_overdue().await;
    // What cannot be read keeps none of the others.
    gateway.one_cannot_be_read().await;

    let (_nobody, queue) = tokio::sync::mpsc::channel(1);
    let running = relaying(&gateway, queue, scheduler.clone());
    let all_are_sent = async {
        let are_sent = async || scheduler.recorded.lock().unwrap().len() == count - 1;
        until(Duration::from_secs(40), are_sent).await;
        scheduler.given_up.load(Ordering::Relaxed)
    };
    let given_up = tokio::select! {
        given_up = all_are_sent => given_up,
        never = running => match never {},
    };
    gateway.shutdown.trigger();
    gateway.shutdown.drain(Duration::from_secs(5)).await;
    given_up
}

#[tokio::test]
async fn many_overdue_operations_are_sent_one_claim_after_another_on_sqlite() {
    let scratch = scratch();
    let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
    let gateway = Gateway::open(&url, scratch).await;
    many_overdue_operations_are_sent_one_claim_after_another(gateway).await;
}

#[tokio::test]
async fn many_overdue_operations_are_sent_one_claim_after_another_on_postgres() {
    let url = Postgres::shared().create_database().parse().unwrap();
    let gateway = Gateway::open(&url, scratch()).await;
    many_overdue_operations_are_sent_one_claim_after_another(gateway).await;
}

/// Whether one of those requests was given up before.
async fn all_are_sent_though_some_requests_are_not_answered(requests: usize) -> bool {
    let scratch = scratch();
    let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
    let gateway = Gateway::open(&url, scratch).await;
    let scheduler = Scheduler::default();
    scheduler.stuck.store(requests, Ordering::Relaxed);
    all_are_sent(gateway, 64 * (requests + 2), scheduler).await
}

#[tokio::test]
async fn a_request_that_is_never_answered_holds_up_no_other() {
    assert!(!all_are_sent_though_some_requests_are_not_answered(1).await);
}

#[tokio::test]
async fn as_many_requests_as_may_be_under_way_are_given_up_when_none_is_answered() {
    assert!(all_are_sent_though_some_requests_are_not_answered(4).await);
}

#[tokio::test]
async fn what_gathers_while_a_request_is_under_way_leaves_together() {
    let _stopped = stop_clock();
    let scratch = scratch();
    let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
    let mut gateway = Gateway::open(&url, scratch).await;
    let queue = gateway.queue();
    let scheduler = Scheduler::default();
    scheduler.stuck.store(1, Ordering::Relaxed);
    let mut requests = scheduler.requests.subscribe();
    let running = relaying(&gateway, queue, scheduler.clone());
    let total = |sizes: &[usize]| sizes.iter().sum::<usize>();
    let accepting = async {
        let accept = async || {
            let application = gateway.application().await;
            let proposal = gateway.proposal(application, OperationType::Delete);
            gateway.accepted(proposal).await;
        };
        accept().await;
        requests.wait_for(|sizes| total(sizes) == 1).await.unwrap();
        for _ in 0..10 {
            accept().await;
        }
        scheduler.answer.notify_one();
        requests
            .wait_for(|sizes| total(sizes) == 11)
            .await
            .unwrap()
            .clone()
    };
    tokio::select! {
        requests = timeout(Duration::from_secs(20), accepting) => assert_eq!(requests.unwrap(), [1, 10]),
        never = running => match never {},
    }
    gateway.shutdown.trigger();
}
