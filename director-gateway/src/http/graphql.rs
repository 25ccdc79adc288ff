//! `/graphql`.

use std::collections::BTreeMap;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Request, Response, ServerError, Value, Variables};
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::Door;
use super::media::Media;
use super::params::{self, Bad, Params};
use super::plain::Problem;
use crate::graphql;
use crate::guard;

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
    State(door): State<Door>,
    request: http::Request<Body>,
) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let accepted = Media::accepted(&parts.headers);
    let media = accepted.unwrap_or(Media::Json);
    let read = match parts.method {
        Method::GET => params::of_url(parts.uri.query()),
        Method::POST => params::of_body(&parts.headers, body).await,
        _ => {
            let bad = Bad::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "METHOD_NOT_ALLOWED",
                "GraphQL takes GET and POST",
            );
            return Answer::bad(media, bad)
                .allowing("GET, POST")
                .into_response();
        }
    };
    if accepted.is_none() {
        let bad = Bad::new(
            StatusCode::NOT_ACCEPTABLE,
            "NOT_ACCEPTABLE",
            "the answer is application/json or application/graphql-response+json",
        );
        return Answer::bad(media, bad).into_response();
    }
    match read {
        Ok(params) => execute(&door, media, &parts, params).await,
        Err(bad) => Answer::bad(media, bad).into_response(),
    }
}

async fn execute(
    door: &Door,
    media: Media,
    parts: &http::request::Parts,
    params: Params,
) -> axum::response::Response {
    let largest = params.largest_variable();
    let document = match guard::admit(&params.query, largest) {
        Ok(admitted) => admitted.document,
        Err(refusal) => return Answer::refused(media, refusal.into()).into_response(),
    };
    let operation = match operation_type(&document, params.operation_name.as_deref()) {
        Ok(operation) => operation,
        Err(message) => {
            let error = coded(message, "OPERATION_RESOLUTION_FAILURE");
            return Answer::refused(media, error).into_response();
        }
    };
    if parts.method == Method::GET && operation != OperationType::Query {
        let bad = Bad::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            format!("a {operation} has to be sent by POST"),
        );
        return Answer::bad(media, bad).allowing("POST").into_response();
    }
    let Params {
        query,
        operation_name,
        variables,
    } = params;
    let variables = Variables::from_json(serde_json::Value::Object(variables));
    let mut request = Request::new(query).variables(variables);
    request.operation_name = operation_name;
    request.set_parsed_query(document);
    let caller = door.caller(&parts.headers);
    match graphql::request_data(&door.registry, caller, request).await {
        Ok(request) => Answer::executed(media, door.schema.execute(request).await).into_response(),
        Err(error) => Problem::from(error)
            .with_content_type(media.content_type())
            .into_response(),
    }
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
    error.extensions.get_or_insert_default().set("code", code);
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

    fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
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
