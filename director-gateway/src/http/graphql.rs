//! `/graphql`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, Value, Variables};
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{ALLOW, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::Door;
use super::media::Media;
use super::params::{self, Bad, Params};
use super::plain::Problem;
use crate::graphql;
use crate::guard::Guard;

/// A document that cannot be executed may be wrong in thousands of places.
const ERRORS: usize = 50;

/// What goes back.
struct Answer {
    status: StatusCode,
    media: Media,
    response: Response,
    allow: Option<&'static str>,
}

pub(super) async fn answer(
    State(door): State<Arc<Door>>,
    request: http::Request<Body>,
) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let accepted = Media::accepted(&parts.headers);
    let media = accepted.unwrap_or(Media::Json);
    let prepared = match read(accepted, &parts, body).await {
        Ok(params) => prepare(&door.guard, media, &parts.method, params),
        Err(answer) => Err(answer),
    };
    match prepared {
        Ok((operation, request)) => execute(&door, media, &parts, (operation, request)).await,
        Err(answer) => {
            door.metrics.refused("none");
            answer.into_response()
        }
    }
}

async fn read(accepted: Option<Media>, parts: &Parts, body: Body) -> Result<Params, Box<Answer>> {
    let media = accepted.unwrap_or(Media::Json);
    let read = match parts.method {
        Method::GET => params::of_url(parts.uri.query()),
        Method::POST => params::of_body(&parts.headers, body).await,
        _ => {
            let message = "GraphQL takes GET and POST";
            return Err(Box::new(Answer::not_allowed(media, message, "GET, POST")));
        }
    };
    if accepted.is_none() {
        let bad = Bad::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "the answer is application/json or application/graphql-response+json",
        );
        return Err(Box::new(Answer::bad(media, bad)));
    }
    read.map_err(|bad| Box::new(Answer::bad(media, bad)))
}

/// The request for the library, with its document parsed.
fn prepare(
    guard: &Guard,
    media: Media,
    method: &Method,
    params: Params,
) -> Result<(OperationType, Request), Box<Answer>> {
    let largest = params.largest_variable();
    let Params {
        query,
        operation_name,
        variables,
    } = params;
    let (document, validity) = guard
        .admit(&query, largest)
        .map_err(|refusal| Box::new(Answer::refused(media, refusal.into())))?;
    let operation = operation_type(&document, operation_name.as_deref()).map_err(|message| {
        let error = coded(message, "OPERATION_RESOLUTION_FAILURE");
        Box::new(Answer::refused(media, error))
    })?;
    if *method == Method::GET && operation != OperationType::Query {
        let message = format!("a {operation} has to be sent by POST");
        return Err(Box::new(Answer::not_allowed(media, &message, "POST")));
    }
    let variables = Variables::from_json(serde_json::Value::Object(variables));
    let is_alike = graphql::is_alike(&document, &variables);
    let mut request = Request::new(query).variables(variables);
    if is_alike {
        request = request.data(validity);
    }
    request.operation_name = operation_name;
    request.set_parsed_query(document);
    Ok((operation, request))
}

async fn execute(
    door: &Door,
    media: Media,
    parts: &Parts,
    (operation, request): (OperationType, Request),
) -> axum::response::Response {
    let started = Instant::now();
    let operation = operation.to_string();
    let caller = door.caller(&parts.headers);
    let request = match graphql::request_data(&door.registry, caller, request).await {
        Ok(request) => request,
        Err(error) => {
            door.metrics.refused(&operation);
            let problem = Problem::from(error);
            return problem
                .with_content_type(media.content_type())
                .into_response();
        }
    };
    let response = door.schema.execute(request).await;
    if is_refusal(&response) {
        door.metrics.refused(&operation);
    } else {
        let has_errors = !response.errors.is_empty();
        let time = started.elapsed();
        door.metrics.executed(&operation, has_errors, time);
    }
    Answer::executed(media, response).into_response()
}

/// What kind of operation is to be executed.
fn operation_type(
    document: &ExecutableDocument,
    name: Option<&str>,
) -> Result<OperationType, String> {
    let unknown = |name| format!("unknown operation named \"{name}\"");
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation.node.ty),
        (DocumentOperations::Single(_), Some(name)) => Err(unknown(name)),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .map(|operation| operation.node.ty)
            .ok_or_else(|| unknown(name)),
        (DocumentOperations::Multiple(operations), None) => {
            let mut operations = operations.values();
            match (operations.next(), operations.next()) {
                (Some(only), None) => Ok(only.node.ty),
                _ => Err("the document has several operations: operationName is required".into()),
            }
        }
    }
}

fn coded(message: impl Into<String>, code: &str) -> ServerError {
    let mut error = ServerError::new(message, None);
    let extensions = error.extensions.get_or_insert_default();
    extensions.set("code", code);
    extensions.set("error", "InvalidData");
    extensions.set("error_code", 22);
    error
}

impl Answer {
    fn new(status: StatusCode, media: Media, response: Response) -> Self {
        Self {
            status,
            media,
            response,
            allow: None,
        }
    }

    fn bad(media: Media, bad: Bad) -> Self {
        let Bad {
            status,
            code,
            message,
        } = bad;
        let response = Response::from_errors(vec![coded(message, code)]);
        Self::new(status, media, response)
    }

    fn not_allowed(media: Media, message: &str, methods: &'static str) -> Self {
        let bad = Bad::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            message,
        );
        Self {
            allow: Some(methods),
            ..Self::bad(media, bad)
        }
    }

    /// A document that is not executed.
    fn refused(media: Media, error: ServerError) -> Self {
        Self::executed(media, Response::from_errors(vec![error]))
    }

    /// A document that was executed, or that the library found invalid.
    fn executed(media: Media, mut response: Response) -> Self {
        let is_refusal = is_refusal(&response);
        if is_refusal {
            response.errors.truncate(ERRORS);
            for error in &mut response.errors {
                let extensions = error.extensions.get_or_insert_default();
                if extensions.get("code").is_none() {
                    extensions.set("code", "GRAPHQL_VALIDATION_FAILED");
                }
            }
        }
        let status = match media {
            Media::GraphqlResponse if is_refusal => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        Self::new(status, media, response)
    }
}

/// Whether a request came to nothing before it was executed: an error of a field has a path.
fn is_refusal(response: &Response) -> bool {
    let Response { data, errors, .. } = response;
    *data == Value::Null && !errors.is_empty() && errors.iter().all(|error| error.path.is_empty())
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> axum::response::Response {
        let Self {
            status,
            media,
            response,
            allow,
        } = self;
        // Compass's clients find `data` in every answer; the newer type has none in a refusal.
        let is_absent = media == Media::GraphqlResponse && is_refusal(&response);
        let envelope = Envelope {
            data: (!is_absent).then_some(&response.data),
            errors: &response.errors,
            extensions: &response.extensions,
        };
        let body = match serde_json::to_vec(&envelope) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        };
        let mut headers: Vec<(HeaderName, HeaderValue)> =
            vec![(CONTENT_TYPE, media.content_type())];
        headers.extend(allow.map(|methods| (ALLOW, HeaderValue::from_static(methods))));
        let headers: http::HeaderMap = headers.into_iter().collect();
        (status, headers, body).into_response()
    }
}
