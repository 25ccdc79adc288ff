use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use binnacle_boot::Context;
use binnacle_boot::grpc::{Api, Channel, Codec, InProcess, Peers, channel, serve};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, skip_field};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::server::StreamingService;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ListServiceResponse, ServerReflectionRequest};
use tower::Service;

const PATIENCE: Duration = Duration::from_secs(20);

/// Serves `api` until the context's shutdown.
fn serve_api(listener: TcpListener, api: Api, context: &Context) {
    let serving = context.clone();
    context.shutdown.spawn(async move {
        serve(listener, api, &serving).await.unwrap();
    });
}

/// A role that others reach over a connection only.
async fn start_serving(api: Api) -> (SocketAddr, Context) {
    let context = Context::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    serve_api(listener, api, &context);
    (address, context)
}

async fn start() -> (SocketAddr, Context) {
    start_serving(Api::new(&[])).await
}

fn overall() -> HealthCheckRequest {
    HealthCheckRequest {
        service: String::new(),
    }
}

#[tokio::test]
async fn health_follows_readiness() {
    let (address, context) = start().await;
    let mut client = HealthClient::new(channel(address, &InProcess::default()));
    let mut states = client.watch(overall()).await.unwrap().into_inner();
    let mut next = async || states.next().await.unwrap().unwrap().status();
    assert_eq!(next().await, ServingStatus::NotServing);
    context.readiness.started();
    assert_eq!(next().await, ServingStatus::Serving);
    context.shutdown.trigger();
    assert_eq!(next().await, ServingStatus::NotServing);
}

#[tokio::test]
async fn reflection_lists_what_is_served_and_nothing_else() {
    let (address, _context) = start().await;
    let mut client = ServerReflectionClient::new(channel(address, &InProcess::default()));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let answer = answers.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(ListServiceResponse { service })) =
        answer.message_response
    else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = service.into_iter().map(|service| service.name).collect();
    names.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let (address, _context) = start().await;
    let mut client =
        tonic_reflection::pb::v1alpha::server_reflection_client::ServerReflectionClient::new(
            channel(address, &InProcess::default()),
        );
    assert!(
        client
            .server_reflection_info(tokio_stream::empty())
            .await
            .is_ok()
    );
    let mut grpc = tonic::client::Grpc::new(channel(address, &InProcess::default()));
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/nobody.v1.Nothing/Do");
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
    let refused = grpc
        .unary(Request::new(overall()), path, codec)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_stream_that_never_ends_does_not_hold_up_a_shutdown() {
    let (address, context) = start().await;
    let mut client = HealthClient::new(channel(address, &InProcess::default()));
    let mut states = client.watch(overall()).await.unwrap().into_inner();
    states.next().await.unwrap().unwrap();
    assert!(!context.shutdown.drain(Duration::from_millis(100)).await);
    while let Some(Ok(_)) = states.next().await {}
}

#[tokio::test]
async fn a_balanced_channel_reaches_the_replicas_there_are() {
    let (first, context) = start().await;
    let (second, _other) = start().await;
    let peers: Peers = format!("{first},{second}").parse().unwrap();
    let mut client = HealthClient::new(peers.balanced(&context.in_process, &context.shutdown));
    for _ in 0..10 {
        client.check(overall()).await.unwrap();
    }
}

/// An address at which nobody listens.
async fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A client of two replicas, one of which takes connections and never answers.
async fn beside_a_silent_one() -> (HealthClient<Channel>, TcpListener, Context) {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (healthy, context) = start().await;
    let peers: Peers = format!("{},{healthy}", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let client = HealthClient::new(peers.balanced(&context.in_process, &context.shutdown));
    (client, silent, context)
}

#[tokio::test]
async fn a_replica_that_does_not_answer_holds_up_one_call_and_not_those_after_it() {
    let (client, _silent, _context) = beside_a_silent_one().await;
    let check = || {
        let mut client = client.clone();
        async move { client.check(overall()).await.unwrap() }
    };
    // As many at once as there are replicas.
    let mut calls: FuturesUnordered<_> = [check(), check()].into_iter().collect();
    let answered = async {
        for _ in 0..100 {
            calls.next().await.unwrap();
            calls.push(check());
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}

#[tokio::test]
async fn a_replica_that_fails_calls_at_once_is_not_the_one_that_gets_them() {
    let (healthy, context) = start().await;
    let peers: Peers = format!("{},{healthy}", free().await).parse().unwrap();
    let client = HealthClient::new(peers.balanced(&context.in_process, &context.shutdown));
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(client.clone().check(overall()).await.is_err());
    }
    assert_eq!(failed, 1);
}

#[tokio::test]
async fn a_replica_that_refuses_calls_is_not_the_one_that_gets_them() {
    let serve_one = |is_closed| {
        let doorkeeper = Doorkeeper {
            is_closed,
            ..Doorkeeper::default()
        };
        start_serving(Api::new(&[]).with(doorkeeper))
    };
    let (closed, _other) = serve_one(true).await;
    let (open, context) = serve_one(false).await;
    let peers: Peers = format!("{closed},{open}").parse().unwrap();
    let channel = peers.balanced(&context.in_process, &context.shutdown);
    let mut refused = 0;
    for _ in 0..100 {
        let answer = call_doorkeeper(channel.clone(), "/test.Doorkeeper/Ask").await;
        refused += u32::from(answer.code() == Code::Unavailable);
    }
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn a_replica_at_which_a_call_was_given_up_gets_no_other_for_a_while() {
    let (client, _silent, _context) = beside_a_silent_one().await;
    // Who gives up within a second says nothing of the replica.
    let patience = Duration::from_millis(1500);
    let check = || {
        let mut client = client.clone();
        async move { tokio::time::timeout(patience, client.check(overall())).await }
    };
    let (first, second) = tokio::join!(check(), check());
    assert_ne!(first.is_err(), second.is_err());
    for _ in 0..10 {
        check().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_an_error_and_not_a_wait() {
    let free = free().await;
    let context = Context::new();
    let mut client =
        HealthClient::new(Peers::from(free).balanced(&context.in_process, &context.shutdown));
    assert_eq!(
        client.check(overall()).await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn the_same_door_answers_questions_about_health_over_plain_http() {
    let (address, context) = start().await;
    assert!(
        crate::http::get_page(address, "/healthz")
            .await
            .ends_with("ok\n")
    );
    assert!(
        crate::http::get_page(address, "/readyz")
            .await
            .starts_with("HTTP/1.1 503")
    );
    context.readiness.started();
    assert!(
        crate::http::get_page(address, "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

/// Says whether its caller came over a connection, unless it takes no calls.
#[derive(Clone, Default)]
struct Doorkeeper {
    is_closed: bool,
    _belongings: Arc<()>,
}

impl NamedService for Doorkeeper {
    const NAME: &'static str = "test.Doorkeeper";
}

impl Service<http::Request<Body>> for Doorkeeper {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert!(request.uri().path().ends_with("/Ask"), "nothing else");
        if self.is_closed {
            return ready(Ok(Status::unavailable("closed").into_http()));
        }
        let connection = request.extensions().get::<TcpConnectInfo>();
        let words = if connection.is_some() {
            "over a connection"
        } else {
            "in process"
        };
        ready(Ok(Status::aborted(words).into_http()))
    }
}

async fn call_doorkeeper(channel: Channel, path: &'static str) -> Status {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
    let asked = grpc.unary(Request::new(overall()), path, codec);
    asked.await.unwrap_err()
}

async fn ask_doorkeeper(channel: Channel) -> String {
    let status = call_doorkeeper(channel, "/test.Doorkeeper/Ask").await;
    status.message().to_owned()
}

#[tokio::test]
async fn roles_of_one_process_call_one_another_without_a_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let context = Context::serving([address]);
    let caller = context.sibling();
    // The call comes first, and waits for the door.
    let (words, ()) = tokio::join!(
        ask_doorkeeper(channel(address, &caller.in_process)),
        async {
            let api = Api::new(&[]).with(Doorkeeper::default());
            serve_api(listener, api, &context);
        }
    );
    assert_eq!(words, "in process");
    let peers = Peers::from(address);
    let balanced = peers.balanced(&caller.in_process, &caller.shutdown);
    let panicked = call_doorkeeper(balanced.clone(), "/test.Doorkeeper/Panic").await;
    assert_eq!(panicked.code(), Code::Internal);
    assert_eq!(ask_doorkeeper(balanced).await, "in process");
    let others = channel(address, &InProcess::default());
    assert_eq!(ask_doorkeeper(others).await, "over a connection");
}

/// What writes to a database ends when nobody is left who could have something to write.
#[tokio::test]
async fn what_a_role_served_is_gone_when_it_has_stopped_though_its_process_lives_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let context = Context::serving([address]);
    let caller = context.sibling();
    let belongings = Arc::new(());
    let api = Api::new(&[]).with(Doorkeeper {
        _belongings: Arc::clone(&belongings),
        ..Doorkeeper::default()
    });
    serve_api(listener, api, &context);
    let channel = channel(address, &caller.in_process);
    assert_eq!(ask_doorkeeper(channel.clone()).await, "in process");
    assert!(context.shutdown.drain(PATIENCE).await);
    assert_eq!(Arc::strong_count(&belongings), 1);
    let refused = call_doorkeeper(channel, "/test.Doorkeeper/Ask").await;
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_role_that_has_stopped_is_unavailable_to_its_process() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let context = Context::serving([address]);
    serve_api(listener, Api::new(&[]), &context);
    let mut client = HealthClient::new(channel(address, &context.sibling().in_process));
    let mut states = client.watch(overall()).await.unwrap().into_inner();
    assert_eq!(
        states.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    context.shutdown.trigger();
    assert_eq!(
        client.check(overall()).await.unwrap_err().code(),
        Code::Unavailable
    );
}

/// A message whose word is lost where it is made bytes.
#[derive(Clone, Debug, Default)]
struct Note {
    word: Arc<str>,
}

impl Message for Note {
    fn encode_raw(&self, _: &mut impl BufMut) {}

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        skip_field(wire_type, tag, buffer, context)
    }

    fn encoded_len(&self) -> usize {
        0
    }

    fn clear(&mut self) {}
}

/// Sends back every note that it gets.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(Codec::<Note, Note>::default());
        Box::pin(async move { Ok(grpc.streaming(Self, request).await) })
    }
}

impl StreamingService<Note> for Echo {
    type Response = Note;
    type ResponseStream = Streaming<Note>;
    type Future = Ready<Result<Response<Streaming<Note>>, Status>>;

    fn call(&mut self, request: Request<Streaming<Note>>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

async fn echo<T: Message + Default + 'static>(
    channel: Channel,
    notes: &[Note],
) -> Result<Vec<T>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/test.Echo/Echo");
    let request = Request::new(tokio_stream::iter(notes.to_vec()));
    let codec = Codec::<Note, T>::default();
    let answer = grpc.streaming(request, path, codec).await?;
    answer.into_inner().collect().await
}

async fn start_echo() -> (SocketAddr, Context) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let context = Context::serving([address]);
    serve_api(listener, Api::new(&[]).with(Echo), &context);
    (address, context)
}

#[tokio::test]
async fn messages_within_a_process_are_handed_over_as_they_are_and_in_order() {
    let (address, context) = start_echo().await;
    let notes = (0..200).map(|n| Note {
        word: n.to_string().into(),
    });
    let notes: Vec<Note> = notes.collect();
    let handed: Vec<Note> = echo(channel(address, &context.in_process), &notes)
        .await
        .unwrap();
    assert_eq!(handed.len(), notes.len());
    for (sent, received) in notes.iter().zip(&handed) {
        assert!(Arc::ptr_eq(&sent.word, &received.word), "{received:?}");
    }
    let others = channel(address, &InProcess::default());
    let sent: Vec<Note> = echo(others, &notes).await.unwrap();
    assert_eq!(sent.len(), notes.len());
    assert!(sent.iter().all(|note| note.word.is_empty()), "{sent:?}");
}

#[tokio::test]
async fn a_message_that_is_handed_over_as_another_kind_is_an_error_and_stays_with_its_call() {
    let (address, context) = start_echo().await;
    let channel = channel(address, &context.in_process);
    let notes = [Note { word: "one".into() }];
    let refused = echo::<HealthCheckRequest>(channel.clone(), &notes).await;
    assert_eq!(refused.unwrap_err().code(), Code::Internal);
    let handed: Vec<Note> = echo(channel, &notes).await.unwrap();
    assert_eq!(&*handed[0].word, "one");
}
