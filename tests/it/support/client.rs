//! The gateway as its clients see it.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::PATIENCE;

/// A client of one gateway, in its default tenant.
#[derive(Clone)]
pub(crate) struct Gateway {
    http: reqwest::Client,
    pub(crate) base: String,
}

/// What an asynchronous mutation was answered.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) application: String,
    pub(crate) operation: String,
    /// The poll URL.
    pub(crate) location: String,
}

impl Gateway {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        Self {
            http,
            base: format!("http://{address}"),
        }
    }

    /// A GraphQL request, for a test that adds to it.
    pub(crate) fn post(&self, query: &str, variables: &Value) -> RequestBuilder {
        self.http
            .post(format!("{}/graphql", self.base))
            .json(&json!({"query": query, "variables": variables}))
    }

    /// The answer to a GraphQL request; an error when there was none.
    pub(crate) async fn try_ask(&self, query: &str, variables: Value) -> reqwest::Result<Value> {
        self.post(query, &variables).send().await?.json().await
    }

    /// The answer to a GraphQL request that has to succeed.
    #[track_caller]
    pub(crate) fn ask(&self, query: &str, variables: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.try_ask(query, variables).await.unwrap();
            assert!(
                answer.get("errors").is_none(),
                "{caller}: {query}: {answer}"
            );
            answer
        }
    }

    /// Registers an application with these webhooks, and gives its id.
    pub(crate) async fn register(&self, name: &str, webhooks: Value) -> String {
        let answer = self
            .ask(
                "mutation ($in: ApplicationRegisterInput!) { result: registerApplication(in: $in) { id } }",
                json!({"in": {"name": name, "webhooks": webhooks}}),
            )
            .await;
        text(&answer, "/data/result/id")
    }

    /// Registers an application with `mode: ASYNC`.
    pub(crate) async fn try_register_async(
        &self,
        name: &str,
        webhooks: &Value,
    ) -> reqwest::Result<Value> {
        self.try_ask(
            "mutation ($in: ApplicationRegisterInput!) { \
             result: registerApplication(in: $in, mode: ASYNC) { id } }",
            json!({"in": {"name": name, "webhooks": webhooks}}),
        )
        .await
    }

    /// Asks for `unregisterApplication` or `unpairApplication` with `mode: ASYNC`, whatever is answered.
    pub(crate) async fn try_start(
        &self,
        mutation: &str,
        application: &str,
    ) -> reqwest::Result<Value> {
        let query =
            format!("mutation ($id: ID!) {{ result: {mutation}(id: $id, mode: ASYNC) {{ id }} }}");
        self.try_ask(&query, json!({"id": application})).await
    }

    /// As [`try_start`](Self::try_start), which has to be accepted.
    pub(crate) async fn start(&self, mutation: &str, application: &str) -> Accepted {
        let answer = self.try_start(mutation, application).await.unwrap();
        Accepted::read(&answer).unwrap_or_else(|| panic!("{mutation} was not accepted: {answer}"))
    }

    /// The application's row, as a client sees it; null when it is not there.
    pub(crate) async fn application(&self, id: &str) -> Value {
        let answer = self
            .ask(
                "query ($id: ID!) { result: application(id: $id) { \
                 id name error deletedAt updatedAt createdAt status { condition timestamp } } }",
                json!({"id": id}),
            )
            .await;
        answer["data"]["result"].clone()
    }

    pub(crate) async fn get(&self, url: &str) -> reqwest::Result<Response> {
        self.http.get(self.absolute(url)).send().await
    }

    /// The JSON body of a GET that has to be answered with 200.
    pub(crate) async fn poll(&self, url: &str) -> Value {
        let response = self.get(url).await.unwrap();
        let status = response.status();
        let body = response.text().await.unwrap();
        assert_eq!(status, 200, "{url}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A GET with one header more.
    pub(crate) async fn get_with(&self, url: &str, header: (&str, &str)) -> Response {
        let request = self.http.get(self.absolute(url));
        request.header(header.0, header.1).send().await.unwrap()
    }

    fn absolute(&self, url: &str) -> String {
        if url.starts_with('/') {
            format!("{}{url}", self.base)
        } else {
            url.to_owned()
        }
    }

    /// Asks a poll URL until it tells an end, and gives that answer. It may be away in between.
    pub(crate) async fn end_of(&self, url: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        let mut last = String::new();
        loop {
            if let Ok(response) = self.get(url).await {
                let status = response.status();
                last = format!("{status} {}", response.text().await.unwrap_or_default());
                let body: Value = last
                    .split_once('{')
                    .and_then(|(_, rest)| serde_json::from_str(&format!("{{{rest}")).ok())
                    .unwrap_or_default();
                assert_ne!(status, 404, "{url}: {last}");
                if matches!(body["status"].as_str(), Some("SUCCEEDED" | "FAILED")) {
                    return body;
                }
            }
            assert!(Instant::now() < end, "{url} tells no end: {last}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Accepted {
    /// `None` when the answer is a refusal.
    pub(crate) fn read(answer: &Value) -> Option<Self> {
        answer.pointer("/extensions/locations/0")?;
        Some(Self {
            application: text(answer, "/data/result/id"),
            operation: text(answer, "/extensions/operations/0/id"),
            location: text(answer, "/extensions/locations/0"),
        })
    }

    /// The poll URL of the operation itself.
    pub(crate) fn own_location(&self) -> String {
        format!("/operations/{}", self.operation)
    }
}

pub(crate) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer).and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => panic!("there is no {pointer} in {value}"),
    }
}
