//! The two exchanges of a webhook, the call and the poll: what is sent and what the answer means.

use super::rendered::{Output, Rendering, Status, Target};
use super::{Webhook, WebhookMode};
use crate::template::{self, Data};

/// An HTTP request that is ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    pub url: String,
    /// In the order of the names. Names are as the template writes them, and a name may repeat.
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
}

/// Why a request cannot be made or an answer cannot be read. Nothing changes it but a change of
/// the webhook, so it is never tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("missing output template")]
    NoOutputTemplate,
    #[error("missing status template")]
    NoStatusTemplate,
    #[error("missing webhook url")]
    NoUrl,
    #[error("unable to parse webhook URL: {0}")]
    Url(Rendering),
    #[error("unable to parse webhook input body: {0}")]
    Input(Rendering),
    #[error("unable to parse webhook headers: {0}")]
    Headers(Rendering),
    #[error("unable to parse response into webhook output template: {0}")]
    Output(Rendering),
    #[error("unable to parse response status into status template: {0}")]
    Status(Rendering),
}

/// What an answer means for the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub decision: Decision,
    /// What the answer says in the terms of the webhook's template, where it could be read.
    pub response: Option<Response>,
    /// The error in Compass's words, whatever was decided on it.
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Call(Output),
    Poll(Status),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The system has finished.
    Succeeded,
    /// The system has begun; it is asked at this address how it gets on.
    Accepted { poll_url: String },
    /// The system has not finished yet.
    InProgress,
    /// The system says that it has failed for good.
    Failed { reason: String },
    /// The system knows nothing of the resource.
    Gone,
    /// Anything else: the exchange is repeated until the webhook's time is over.
    Retry { reason: String },
}

const EMPTY_BODY: &str = "{}";
/// The headers that carry a correlation id only where the header template has not set them.
const TRACING_HEADERS: [&str; 7] = [
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
];

/// The call that starts the webhook, for the [request object](Data::request_object) of its
/// operation.
pub fn request(
    webhook: &Webhook,
    object: &Data,
    correlation_id: Option<&str>,
) -> Result<HttpRequest, Error> {
    if webhook.output_template.is_none() {
        return Err(Error::NoOutputTemplate);
    }
    let (method, url) = match (&webhook.url_template, &webhook.url) {
        (Some(template), _) => {
            let Target { method, path } = Target::render(template, object).map_err(Error::Url)?;
            (method, path)
        }
        (None, Some(url)) => ("GET".to_owned(), url.clone()),
        (None, None) => return Err(Error::NoUrl),
    };
    let body = match &webhook.input_template {
        Some(template) => super::rendered::body(template, object).map_err(Error::Input)?,
        None => EMPTY_BODY.to_owned(),
    };
    let headers = headers(webhook, object, correlation_id)?;
    Ok(HttpRequest {
        method,
        url,
        headers,
        body: Some(body.into_bytes()),
    })
}

/// The question how the system gets on with what [`Decision::Accepted`] began.
pub fn poll_request(
    webhook: &Webhook,
    object: &Data,
    correlation_id: Option<&str>,
    poll_url: &str,
) -> Result<HttpRequest, Error> {
    if webhook.status_template.is_none() {
        return Err(Error::NoStatusTemplate);
    }
    let headers = headers(webhook, object, correlation_id)?;
    Ok(HttpRequest {
        method: "GET".to_owned(),
        url: poll_url.to_owned(),
        headers,
        body: None,
    })
}

fn headers(
    webhook: &Webhook,
    data: &Data,
    correlation_id: Option<&str>,
) -> Result<Vec<(String, String)>, Error> {
    let rendered = match &webhook.header_template {
        Some(template) => super::rendered::headers(template, data).map_err(Error::Headers)?,
        None => None,
    };
    let mut headers = rendered.unwrap_or_default();
    let key = webhook.correlation_id_key.as_deref().unwrap_or_default();
    let id = correlation_id.unwrap_or_default();
    if !key.is_empty() && !id.is_empty() {
        let tracing = TRACING_HEADERS
            .iter()
            .any(|name| name.eq_ignore_ascii_case(key));
        let set = headers.iter().any(|(name, values)| {
            let mut values = values.iter().flatten();
            name.eq_ignore_ascii_case(key) && values.any(|value| !value.is_empty())
        });
        if !(tracing && set) {
            headers.retain(|name, _| !name.eq_ignore_ascii_case(key));
            headers.insert(key.to_owned(), Some(vec![id.to_owned()]));
        }
    }
    let pairs = headers.into_iter().flat_map(|(name, values)| {
        let values = values.into_iter().flatten();
        values.map(move |value| (name.clone(), value))
    });
    Ok(pairs.collect())
}

/// What the answer to [`request`] means. Header names are taken in any case, the first of several
/// values counts.
pub fn interpret_call(
    webhook: &Webhook,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Answer, Error> {
    let template = webhook
        .output_template
        .as_deref()
        .ok_or(Error::NoOutputTemplate)?;
    let data = match Data::answer(headers, body) {
        Ok(data) => data,
        Err(error) => return Ok(unreadable(body, &error)),
    };
    let output = Output::render(template, &data).map_err(Error::Output)?;
    let is_async = webhook.mode == Some(WebhookMode::Async);
    let location = output.location.clone().unwrap_or_default();
    if output.gone_status_code == Some(i64::from(status)) {
        let error = format!("gone response status {status} was met while calling webhook");
        return Ok(Answer {
            decision: Decision::Gone,
            response: Some(Response::Call(output)),
            error: Some(error),
        });
    }
    if is_async && location.is_empty() {
        let line = status_line(status);
        let body = template::print(&data, "Body");
        return Ok(Answer::retry(
            None,
            format!(
                "missing location url after executing async webhook: \
                 HTTP response status {line} with body {body}"
            ),
        ));
    }
    let codes = (output.success_status_code, output.incomplete_status_code);
    let problem = problem(status, codes, &output.error);
    let response = Some(Response::Call(output));
    Ok(match problem {
        Some(reason) => Answer::retry(response, reason),
        None if is_async => Answer {
            decision: Decision::Accepted { poll_url: location },
            response,
            error: None,
        },
        None => Answer {
            decision: Decision::Succeeded,
            response,
            error: None,
        },
    })
}

/// What the answer to [`poll_request`] means.
pub fn interpret_poll(
    webhook: &Webhook,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Answer, Error> {
    let template = webhook
        .status_template
        .as_deref()
        .ok_or(Error::NoStatusTemplate)?;
    let data = match Data::answer(headers, body) {
        Ok(data) => data,
        Err(error) => return Ok(unreadable(body, &error)),
    };
    let answer = Status::render(template, &data).map_err(Error::Status)?;
    let error = problem(status, (answer.success_status_code, None), &answer.error);
    let expected_code = answer.success_status_code == i64::from(status);
    let decision = match &error {
        _ if expected_code && answer.status == answer.failed_status_identifier => {
            Decision::Failed {
                reason: failure(&answer.error),
            }
        }
        Some(reason) => Decision::Retry {
            reason: reason.clone(),
        },
        None if answer.status == answer.in_progress_status_identifier => Decision::InProgress,
        None if answer.status == answer.success_status_identifier => Decision::Succeeded,
        None => Decision::Retry {
            reason: format!("unexpected poll status '{}'", answer.status),
        },
    };
    Ok(Answer {
        decision,
        response: Some(Response::Poll(answer)),
        error,
    })
}

impl Answer {
    fn retry(response: Option<Response>, reason: String) -> Self {
        Self {
            decision: Decision::Retry {
                reason: reason.clone(),
            },
            response,
            error: Some(reason),
        }
    }
}

fn unreadable(body: &[u8], error: &str) -> Answer {
    let body = String::from_utf8_lossy(body);
    Answer::retry(
        None,
        format!("failed to unmarshall HTTP response with body: {body}: {error}"),
    )
}

/// The text of a failure that the system reports for good.
fn failure(error: &str) -> String {
    if error.is_empty() {
        "webhook operation has finished with failed status".to_owned()
    } else {
        error.to_owned()
    }
}

/// The unexpected code and the error of an answer, glued together as Compass does it.
fn problem(status: u16, codes: (i64, Option<i64>), error: &str) -> Option<String> {
    let (success, incomplete) = codes;
    let got = i64::from(status);
    let mut text = String::new();
    if got != success && Some(got) != incomplete {
        let or = incomplete
            .map(|code| format!(" or incomplete status code '{code}'"))
            .unwrap_or_default();
        text = format!(
            "response success status code was not met - \
             expected success status code '{success}'{or}, got '{got}'"
        );
    }
    if !error.is_empty() {
        text.push_str("received error while calling external system: ");
        text.push_str(error);
    }
    (!text.is_empty()).then_some(text)
}

fn status_line(status: u16) -> String {
    let reason = match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => return status.to_string(),
    };
    format!("{status} {reason}")
}
