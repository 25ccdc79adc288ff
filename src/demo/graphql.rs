//! The gateway, as a client of its GraphQL door sees it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(10);

const REGISTER: &str = "mutation ($in: ApplicationRegisterInput!) { \
     result: registerApplication(in: $in) { id } }";
const UNREGISTER: &str = "mutation ($id: ID!) { \
     result: unregisterApplication(id: $id, mode: ASYNC) { id } }";
const FIND: &str = "query ($id: ID!) { result: application(id: $id) { id } }";

/// A client of one gateway.
pub(super) struct Gateway {
    http: reqwest::Client,
    url: String,
}

/// What an asynchronous mutation answers.
pub(super) struct Accepted {
    pub(super) operation: Uuid,
    /// Where to ask how it goes.
    pub(super) location: String,
}

impl Gateway {
    pub(super) fn new(address: SocketAddr) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            http,
            url: format!("http://{address}/graphql"),
        })
    }

    /// Registers an application with one webhook, and gives its id.
    pub(super) async fn register(&self, name: &str, webhook: &Value) -> anyhow::Result<String> {
        let input = json!({"name": name, "webhooks": [webhook]});
        let answer = self.ask(REGISTER, json!({"in": input})).await?;
        text(&answer, "/data/result/id")
    }

    /// Asks for the application to be removed, without waiting for it.
    pub(super) async fn unregister_async(&self, id: &str) -> anyhow::Result<Accepted> {
        let answer = self.ask(UNREGISTER, json!({"id": id})).await?;
        let operation = text(&answer, "/extensions/operations/0/id")?;
        Ok(Accepted {
            operation: operation.parse().context("the operation's id is no UUID")?,
            location: text(&answer, "/extensions/locations/0")?,
        })
    }

    /// Whether the registry has the application.
    pub(super) async fn exists(&self, id: &str) -> anyhow::Result<bool> {
        let answer = self.ask(FIND, json!({"id": id})).await?;
        Ok(answer
            .pointer("/data/result")
            .is_some_and(|found| !found.is_null()))
    }

    /// What a poll URL says about the operation.
    pub(super) async fn poll(&self, location: &str) -> anyhow::Result<String> {
        let response = self
            .http
            .get(location)
            .send()
            .await
            .context("the poll URL failed")?;
        let answer: Value = response
            .json()
            .await
            .context("the poll URL's answer is no JSON")?;
        text(&answer, "/status")
    }

    async fn ask(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let request = self
            .http
            .post(&self.url)
            .json(&json!({"query": query, "variables": variables}));
        let response = request
            .send()
            .await
            .context("the gateway does not answer")?;
        let answer: Value = response
            .json()
            .await
            .context("the gateway's answer is no JSON")?;
        match answer.get("errors") {
            Some(errors) => bail!("the gateway refused: {errors}"),
            None => Ok(answer),
        }
    }
}

fn text(answer: &Value, pointer: &str) -> anyhow::Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("there is no {pointer} in {answer}"))
}
