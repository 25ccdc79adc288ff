use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use binnacle_boot::{Context, health, http};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn start(router: Router) -> (SocketAddr, Context) {
    let context = Context::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let health = health::routes(context.readiness.clone(), context.metrics.clone());
    context.shutdown.spawn(http::serve(
        listener,
        router.merge(health),
        context.shutdown.clone(),
    ));
    (address, context)
}

pub(crate) async fn get_page(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let (address, context) = start(Router::new()).await;
    assert!(
        get_page(address, "/healthz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        get_page(address, "/readyz")
            .await
            .starts_with("HTTP/1.1 503")
    );
    context.readiness.started();
    assert!(
        get_page(address, "/readyz")
            .await
            .starts_with("HTTP/1.1 200")
    );
    context
        .readiness
        .require("database", async || Err("it is away"));
    let answer = get_page(address, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(
        answer.contains(r#"{"check":"database","reason":"it is away"}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn metrics_are_a_page_of_text() {
    let (address, context) = start(Router::new()).await;
    let counter = prometheus::IntCounter::new("boot_tests_total", "Tests run.").unwrap();
    context.metrics.register(Box::new(counter.clone())).unwrap();
    counter.inc();
    assert!(
        get_page(address, "/metrics")
            .await
            .contains("boot_tests_total 1")
    );
}

#[tokio::test]
async fn a_handler_knows_its_peer() {
    let peer = get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string());
    let (address, _context) = start(Router::new().route("/", peer)).await;
    assert!(get_page(address, "/").await.ends_with("127.0.0.1"));
}
