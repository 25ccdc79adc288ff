//! What a GraphQL request asks, out of its body or its URL.

use std::time::Duration;

use axum::body::Body;
use axum::body::to_bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use super::{BODY_LIMIT, media};

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The parameters of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Params {
    pub(super) query: String,
    pub(super) operation_name: Option<String>,
    pub(super) variables: Map<String, Value>,
}

/// A request that asks nothing that could be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) status: StatusCode,
    /// The error's `extensions.code`.
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Bad {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }
}

/// Reads the parameters of a POST.
pub(super) async fn of_body(headers: &HeaderMap, body: Body) -> Result<Params, Bad> {
    if !media::is_json(headers) {
        return Err(Bad::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UNSUPPORTED_MEDIA_TYPE",
            "the content type has to be application/json, in UTF-8",
        ));
    }
    let too_large = || {
        Bad::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PAYLOAD_TOO_LARGE",
            format!("the body has more than {BODY_LIMIT} bytes"),
        )
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    if announced
        .and_then(|length| length.parse().ok())
        .is_some_and(|length: u64| length > BODY_LIMIT as u64)
    {
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIME, to_bytes(body, BODY_LIMIT)).await;
    match read {
        Ok(Ok(bytes)) => parse_body(&bytes),
        Ok(Err(error)) if is_too_large(&error) => Err(too_large()),
        Ok(Err(_)) => Err(Bad::request("the body broke off")),
        Err(_) => Err(Bad::new(
            StatusCode::REQUEST_TIMEOUT,
            "REQUEST_TIMEOUT",
            format!("the body did not come within {} s", BODY_TIME.as_secs()),
        )),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Only the first value of the body counts, as in Compass.
fn parse_body(bytes: &[u8]) -> Result<Params, Bad> {
    let first = serde_json::Deserializer::from_slice(bytes)
        .into_iter::<Value>()
        .next();
    match first {
        Some(Ok(Value::Object(fields))) => of_fields(fields),
        Some(Ok(Value::Array(_))) => Err(Bad::new(
            StatusCode::BAD_REQUEST,
            "BATCH_NOT_SUPPORTED",
            "several requests in one body are not supported",
        )),
        Some(Ok(_)) => Err(Bad::request("the body has to be a JSON object")),
        Some(Err(error)) => Err(Bad::request(format!("the body is not JSON: {error}"))),
        None => Err(Bad::request("the body is empty")),
    }
}

/// Reads the parameters of a GET.
pub(super) fn of_url(query: Option<&str>) -> Result<Params, Bad> {
    let mut fields = Map::new();
    for (name, text) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let value = match name.as_ref() {
            "variables" | "extensions" if text.is_empty() => Value::Null,
            "variables" | "extensions" => serde_json::from_str(&text)
                .map_err(|error| Bad::request(format!("`{name}` is not JSON: {error}")))?,
            _ => Value::String(text.into_owned()),
        };
        fields.insert(name.into_owned(), value);
    }
    of_fields(fields)
}

fn of_fields(mut fields: Map<String, Value>) -> Result<Params, Bad> {
    let wrong = |name, kind| Err(Bad::request(format!("`{name}` has to be {kind}")));
    let query = match fields.remove("query") {
        Some(Value::String(query)) => query,
        None | Some(Value::Null) => return Err(Bad::request("`query` is missing")),
        Some(_) => return wrong("query", "a string"),
    };
    let operation_name = match fields.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return wrong("operationName", "a string"),
    };
    let variables = match fields.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return wrong("variables", "an object"),
    };
    match fields.remove("extensions") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(_) => return wrong("extensions", "an object"),
    }
    Ok(Params {
        query,
        operation_name,
        variables,
    })
}

impl Params {
    /// About the bytes that the largest variable takes in memory.
    pub(super) fn largest_variable(&self) -> usize {
        self.variables.values().map(size).max().unwrap_or(0)
    }
}

fn size(value: &Value) -> usize {
    const NODE: usize = 64;
    NODE + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, item)| name.len() + size(item))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_after_the_body_is_ignored() {
        let params = parse_body(b"{\"query\":\"{a}\"} and more").unwrap();
        assert_eq!(params.query, "{a}");
    }

    #[test]
    fn null_and_the_empty_name_are_as_good_as_absent() {
        let body = br#"{"query":"{a}","operationName":"","variables":null,"extensions":null}"#;
        let expected = Params {
            query: "{a}".into(),
            ..Params::default()
        };
        assert_eq!(parse_body(body).unwrap(), expected);
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_reason() {
        for (body, code, message) in [
            ("", "BAD_REQUEST", "the body is empty"),
            ("null", "BAD_REQUEST", "the body has to be a JSON object"),
            (
                "[]",
                "BATCH_NOT_SUPPORTED",
                "several requests in one body are not supported",
            ),
            ("{}", "BAD_REQUEST", "`query` is missing"),
            (
                r#"{"query":1}"#,
                "BAD_REQUEST",
                "`query` has to be a string",
            ),
            (
                r#"{"query":"{a}","variables":"{}"}"#,
                "BAD_REQUEST",
                "`variables` has to be an object",
            ),
        ] {
            let bad = parse_body(body.as_bytes()).unwrap_err();
            assert_eq!((bad.code, bad.message.as_str()), (code, message), "{body}");
        }
        let deep = "[".repeat(100_000);
        let bad = parse_body(format!("{{\"query\":\"{{a}}\",\"variables\":{deep}").as_bytes());
        assert!(bad.unwrap_err().message.starts_with("the body is not JSON"));
    }

    #[test]
    fn a_url_carries_the_same_parameters() {
        let params = of_url(Some(
            "query=%7Ba%7D&variables=%7B%22x%22%3A1%7D&operationName=Q",
        ));
        let params = params.unwrap();
        assert_eq!(
            (params.query.as_str(), params.operation_name.as_deref()),
            ("{a}", Some("Q"))
        );
        assert_eq!(params.variables["x"], 1);
        assert!(of_url(Some("query=%7Ba%7D&variables=nope")).is_err());
        assert!(of_url(None).is_err());
    }
}
