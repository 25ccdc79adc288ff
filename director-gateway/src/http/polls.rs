//! Poll URLs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use super::Door;
use super::plain::Problem;
use crate::poll::{self, Progress};
use crate::registry;

/// What a client may wait for at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The content type that Compass's poll URL has.
const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Compass's poll URL. Compass answers any method; here it is read with GET, or with POST as some
/// clients do.
pub(super) async fn last_operation(
    State(door): State<Arc<Door>>,
    method: Method,
    headers: HeaderMap,
    Path((resource_type, resource_id)): Path<(String, String)>,
) -> Response {
    if method != Method::GET && method != Method::POST {
        return not_allowed("GET, POST");
    }
    let found = async {
        let tenant = tenant(&door, &headers).await?;
        let resource = match Uuid::try_parse(&resource_id) {
            Ok(id) if resource_type == poll::APPLICATION => id,
            _ => return Err(Problem::invalid("Unexpected resource type and/or GUID")),
        };
        let found = door.polls.last_operation(tenant, resource).await?;
        found.ok_or_else(|| {
            let message = format!(
                "Object not found: Operation for application with id {resource_id} not found \
                 [ID={resource_id}; object=application]"
            );
            Problem::not_found(&message)
        })
    };
    match found.await {
        Ok(found) => progress(found.status, &found),
        Err(problem) => problem.into_response(),
    }
}

/// An operation by its own id. `Prefer: wait=N` waits up to N seconds for its end.
pub(super) async fn operation(
    State(door): State<Arc<Door>>,
    method: Method,
    headers: HeaderMap,
    Path(operation_id): Path<String>,
) -> Response {
    if method != Method::GET {
        return not_allowed("GET");
    }
    let wait = preferred_wait(&headers);
    let found = async {
        let tenant = tenant(&door, &headers).await?;
        let id = Uuid::try_parse(&operation_id)
            .map_err(|_| Problem::invalid("the operation id is not a UUID"))?;
        let found = door
            .polls
            .operation(tenant, id, wait.unwrap_or_default())
            .await?;
        found.ok_or_else(|| {
            Problem::not_found(&format!("Object not found [ID={id}; object=operation]"))
        })
    };
    let mut response = match found.await {
        Ok(found) => progress(found.status, &found),
        Err(problem) => problem.into_response(),
    };
    if let Some(wait) = wait {
        let applied = HeaderValue::try_from(format!("wait={}", wait.as_secs()));
        response
            .headers_mut()
            .extend(applied.map(|applied| (PREFERENCE_APPLIED, applied)).ok());
    }
    response
}

/// The caller's tenant.
async fn tenant(door: &Door, headers: &HeaderMap) -> Result<Uuid, Problem> {
    let Some(external) = door.caller(headers).tenant else {
        return Err(Problem::internal("Unable to determine tenant for request"));
    };
    let found = door.registry.tenant_of_caller(&external).await?;
    Ok(found.ok_or(registry::Error::TenantNotFound(external))?.id)
}

fn not_allowed(methods: &'static str) -> Response {
    let message = format!("The operation is not allowed [reason=use {methods}]");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        ("InvalidOperation", 27),
        &message,
    );
    ([(ALLOW, HeaderValue::from_static(methods))], problem).into_response()
}

fn progress(status: Progress, body: &impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, JSON);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == Progress::InProgress {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// `wait` of RFC 7240, bounded.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT))
}

impl From<poll::Error> for Problem {
    fn from(error: poll::Error) -> Self {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot look up an operation"
        );
        Self::internal("Unable to execute database operation")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_taken_from_the_preferences_and_bounded() {
        for (prefer, expected) in [
            ("wait=5", Some(5)),
            ("respond-async, Wait = \"7\"", Some(7)),
            ("wait=1000000000", Some(30)),
            ("wait=0", Some(0)),
            ("wait=-1", None),
            ("wait=soon", None),
            ("respond-async", None),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("prefer"),
                HeaderValue::from_static(prefer),
            )]);
            assert_eq!(
                preferred_wait(&headers).map(|wait| wait.as_secs()),
                expected,
                "{prefer}"
            );
        }
    }
}
