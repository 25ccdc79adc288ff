//! The external system of the demo: it keeps artefacts for applications, and takes its time to
//! remove them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use binnacle_boot::{Shutdown, http};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// How long it takes to clean up.
const CLEANUP: Duration = Duration::from_secs(3);

/// The running system.
pub(super) struct System {
    address: SocketAddr,
}

#[derive(Clone, Copy)]
struct Clock {
    address: SocketAddr,
    start: Instant,
}

impl System {
    /// Starts it on a free port; it stops with `shutdown`.
    pub(super) async fn start(shutdown: &Shutdown) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("no free port")?;
        let address = listener.local_addr().context("a listener has no address")?;
        let router = Router::new()
            .route("/applications/{id}/artefacts", delete(remove))
            .route("/cleanups/{begun}", get(report))
            .with_state(Clock {
                address,
                start: Instant::now(),
            });
        shutdown.spawn(http::serve(listener, router, shutdown.clone()));
        Ok(Self { address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How Binnacle is told to call it: a `WebhookInput` of the GraphQL schema.
    pub(super) fn webhook(&self) -> Value {
        let path = format!(
            "http://{}/applications/{{{{.Application.ID}}}}/artefacts",
            self.address
        );
        json!({
            "type": "UNREGISTER_APPLICATION",
            "mode": "ASYNC",
            "retryInterval": 1,
            "timeout": 30,
            "urlTemplate": json!({"method": "DELETE", "path": path}).to_string(),
            "inputTemplate": r#"{"name": "{{.Application.Name}}"}"#,
            "headerTemplate": r#"{"Content-Type": ["application/json"]}"#,
            "outputTemplate": r#"{"location": "{{.Headers.Location}}", "success_status_code": 202, "error": "{{.Body.error}}"}"#,
            "statusTemplate": r#"{"status": "{{.Body.status}}", "success_status_code": 200, "success_status_identifier": "REMOVED", "in_progress_status_identifier": "REMOVING", "failed_status_identifier": "FAILED", "error": "{{.Body.error}}"}"#,
        })
    }
}

/// Accepts the removal and says where to ask about it. When it began is all there is to know, so
/// that is the cleanup's name; a repeated call begins another one, which does no harm.
async fn remove(State(clock): State<Clock>, Path(_id): Path<String>) -> Response {
    let begun = clock.start.elapsed().as_millis();
    let location = format!("http://{}/cleanups/{begun}", clock.address);
    (
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(json!({"error": ""})),
    )
        .into_response()
}

async fn report(State(clock): State<Clock>, Path(begun): Path<u64>) -> Json<Value> {
    let elapsed = clock
        .start
        .elapsed()
        .saturating_sub(Duration::from_millis(begun));
    let status = if elapsed < CLEANUP {
        "REMOVING"
    } else {
        "REMOVED"
    };
    Json(json!({"status": status, "error": ""}))
}
