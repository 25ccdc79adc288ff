//! Whether a service is alive and whether it is ready, told truthfully.
//!
//! Alive is whoever answers. Ready is a service that has started, is not stopping, and all of
//! whose named checks pass at the moment of the question. One [`Readiness`] drives `/readyz`,
//! `grpc.health.v1` and the ready file.

use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use prometheus::{Registry, TextEncoder};
use serde::Serialize;
use tokio::sync::watch;

use crate::Shutdown;

/// How long one check may take before it counts as failed.
const LIMIT: Duration = Duration::from_secs(2);

type Ask = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What has to be true for a service to be ready. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    started: Arc<watch::Sender<bool>>,
    checks: Arc<Mutex<Vec<(&'static str, Ask)>>>,
    shutdown: Shutdown,
}

/// One thing that keeps a service from being ready.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Obstacle {
    pub check: &'static str,
    pub reason: String,
}

impl Readiness {
    /// A service that has not started. It is not ready once `shutdown` has been triggered.
    pub fn new(shutdown: &Shutdown) -> Self {
        Self {
            started: Arc::new(watch::Sender::new(false)),
            checks: Arc::default(),
            shutdown: shutdown.clone(),
        }
    }

    /// From now on the service is ready only while `ask` succeeds, within two seconds. It is
    /// asked at every question, so it should be as cheap as a `SELECT 1`.
    pub fn require<A, F, E>(&self, check: &'static str, ask: A)
    where
        A: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let ask: Ask = Arc::new(move || {
            ask()
                .map(|answer| answer.map_err(|error| error.to_string()))
                .boxed()
        });
        self.checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((check, ask));
    }

    /// Says that the service has done all that it does before it serves.
    pub fn started(&self) {
        self.started.send_replace(true);
    }

    /// Completes when [`Readiness::started`] has been called.
    pub async fn wait_until_started(&self) {
        // The sender is a field of this value, so it cannot go away.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// What keeps the service from being ready: nothing when it is.
    pub async fn obstacles(&self) -> Vec<Obstacle> {
        if self.shutdown.is_cancelled() {
            return vec![Obstacle {
                check: "shutdown",
                reason: "the service is stopping".into(),
            }];
        }
        if !*self.started.borrow() {
            return vec![Obstacle {
                check: "start",
                reason: "the service is starting".into(),
            }];
        }
        let checks = self
            .checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let answers = checks.into_iter().map(|(check, ask)| async move {
            let reason = match tokio::time::timeout(LIMIT, ask()).await {
                Ok(Ok(())) => return None,
                Ok(Err(reason)) => reason,
                Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
            };
            Some(Obstacle { check, reason })
        });
        join_all(answers).await.into_iter().flatten().collect()
    }
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn routes(readiness: Readiness, metrics: Registry) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(page).with_state(metrics))
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    obstacles: Vec<Obstacle>,
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let obstacles = readiness.obstacles().await;
    let ready = obstacles.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Ready { ready, obstacles })).into_response()
}

async fn page(State(metrics): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&metrics.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot write the metrics page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn names(obstacles: &[Obstacle]) -> Vec<&str> {
        obstacles.iter().map(|obstacle| obstacle.check).collect()
    }

    #[tokio::test]
    async fn a_service_is_ready_between_its_start_and_its_stop() {
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(&shutdown);
        assert_eq!(names(&readiness.obstacles().await), ["start"]);
        readiness.started();
        readiness.wait_until_started().await;
        assert_eq!(readiness.obstacles().await, []);
        shutdown.trigger();
        assert_eq!(names(&readiness.obstacles().await), ["shutdown"]);
    }

    #[tokio::test]
    async fn every_failing_check_is_named_with_its_reason() {
        let readiness = Readiness::new(&Shutdown::new());
        readiness.started();
        readiness.require("fine", async || Ok::<_, String>(()));
        readiness.require("database", async || Err("it is away"));
        let expected = Obstacle {
            check: "database",
            reason: "it is away".into(),
        };
        assert_eq!(readiness.obstacles().await, [expected]);
    }

    #[tokio::test]
    async fn a_check_that_does_not_answer_counts_as_failed() {
        let readiness = Readiness::new(&Shutdown::new());
        readiness.started();
        readiness.require("frozen", pending::<Result<(), String>>);
        assert_eq!(names(&readiness.obstacles().await), ["frozen"]);
    }
}
