//! An external system that answers as it is told and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use binnacle_boot::clock;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What is answered to one request. `{base}` and `{path}` in headers and body stand for the system's address and
/// the request's path.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    after: Duration,
}

impl Answer {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_owned(),
            after: Duration::ZERO,
        }
    }

    /// `200 {}`.
    pub(crate) fn ok() -> Self {
        Self::new(200, "{}")
    }

    /// `200` with a status, as a poll is answered.
    pub(crate) fn status(status: &str) -> Self {
        Self::new(200, &json!({"status": status}).to_string())
    }

    /// `202` with the location to poll: the request's path and `/status`.
    pub(crate) fn accepted() -> Self {
        Self::new(202, "{}").header("location", "{base}{path}/status")
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) at: DateTime<Utc>,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// What tells a repeat from another call.
    pub(crate) fn key(&self) -> &str {
        self.header("idempotency-key")
    }
}

#[derive(Default)]
struct Script {
    /// By path, or by the beginning of a path. One answer per request; the last stays.
    answers: HashMap<String, Vec<Answer>>,
    /// Requests so far, by path.
    counts: HashMap<String, usize>,
    received: Vec<Received>,
}

/// The running system.
pub(crate) struct External {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _server: JoinSet<()>,
}

impl External {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::<Mutex<Script>>::default();
        let router = Router::new()
            .fallback(answer)
            .with_state((address, Arc::clone(&script)));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            script,
            _server: server,
        }
    }

    /// Answers requests to `path` (with a star at its end: to every path that begins so, each counted by itself)
    /// with these, one after the other; the last stays.
    pub(crate) fn script(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.lock().answers.insert(path.to_owned(), answers);
    }

    /// What was asked under paths that begin with this, in order.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        let script = self.lock();
        let under = script.received.iter().filter(|r| r.path.starts_with(path));
        under.cloned().collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.received(path).len()
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// A webhook of mode SYNC that calls `{path}/{application's id}`.
    pub(crate) fn sync(&self, kind: &str, path: &str) -> Value {
        json!({
            "type": kind,
            "mode": "SYNC",
            "urlTemplate": self.url_template(path),
            "inputTemplate": r#"{"application_id": "{{.Application.ID}}", "name": "{{.Application.Name}}"}"#,
            "headerTemplate": r#"{"Content-Type": ["application/json"]}"#,
            "outputTemplate": r#"{"success_status_code": 200, "gone_status_code": 404, "error": "{{.Body.error}}"}"#,
            "retryInterval": 1,
            "timeout": 120,
        })
    }

    /// A webhook of mode ASYNC that calls `{path}/{application's id}` and polls what that answers as location.
    pub(crate) fn asynchronous(&self, kind: &str, path: &str) -> Value {
        let mut webhook = self.sync(kind, path);
        webhook["mode"] = "ASYNC".into();
        webhook["outputTemplate"] = r#"{"location": "{{.Headers.Location}}", "success_status_code": 202, "gone_status_code": 404, "error": "{{.Body.error}}"}"#.into();
        webhook["statusTemplate"] = r#"{"status": "{{.Body.status}}", "success_status_code": 200, "success_status_identifier": "SUCCEEDED", "in_progress_status_identifier": "IN_PROGRESS", "failed_status_identifier": "FAILED", "error": "{{.Body.error}}"}"#.into();
        webhook
    }

    fn url_template(&self, path: &str) -> String {
        let url = format!("http://{}{path}/{{{{.Application.ID}}}}", self.address);
        format!(r#"{{"method": "POST", "path": "{url}"}}"#)
    }
}

impl Script {
    fn next(&mut self, path: &str) -> Answer {
        let exact = self.answers.get(path);
        let by_beginning = || {
            let fits = |pattern: &str| {
                let beginning = pattern.strip_suffix('*');
                beginning.is_some_and(|beginning| path.starts_with(beginning))
            };
            let fitting = self.answers.iter().filter(|(pattern, _)| fits(pattern));
            fitting
                .max_by_key(|(pattern, _)| pattern.len())
                .map(|(_, answers)| answers)
        };
        let answers = exact.or_else(by_beginning);
        let count = self.counts.entry(path.to_owned()).or_default();
        *count += 1;
        answers
            .and_then(|answers| answers.get(*count - 1).or(answers.last()))
            .cloned()
            .unwrap_or_else(|| Answer::new(501, r#"{"error": "nothing is scripted here"}"#))
    }
}

async fn answer(
    State((address, script)): State<(SocketAddr, Arc<Mutex<Script>>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let Answer {
        status,
        headers: answered,
        body,
        after,
    } = {
        let mut script = script.lock().unwrap();
        script.received.push(Received {
            at: clock::now(),
            path: path.clone(),
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        script.next(&path)
    };
    tokio::time::sleep(after).await;
    let fill = |text: &str| {
        text.replace("{base}", &format!("http://{address}"))
            .replace("{path}", &path)
    };
    let mut response = (StatusCode::from_u16(status).unwrap(), fill(&body)).into_response();
    for (name, value) in answered {
        let name: axum::http::HeaderName = name.parse().unwrap();
        response
            .headers_mut()
            .insert(name, fill(&value).parse().unwrap());
    }
    response
}
