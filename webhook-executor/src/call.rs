//! A call as it is owed, and the request that it comes to.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use binnacle_domain::template::Data;
use binnacle_domain::webhook::{self, HttpRequest, Webhook};
use binnacle_proto::executor::v1::Call;
use binnacle_proto::{Invalid, duration_from};
use reqwest::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING,
};
use reqwest::{Client, Method, Request};
use url::Url;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What the connection decides, whatever a template says.
const CONNECTION: [HeaderName; 4] = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER];
/// Some of a template, ours and those of the client.
const USUAL_HEADERS: usize = 12;

/// One HTTP exchange owed to an external system.
pub(crate) struct Owed {
    webhook: Webhook,
    request_object: String,
    correlation_id: String,
    idempotency_key: String,
    pub(crate) poll_url: Option<String>,
    pub(crate) valid_for: Duration,
}

/// A request that is ready to be sent.
pub(crate) struct Prepared {
    pub(crate) request: Request,
    /// The address with the user and password that may stand in it; the request has them as a header.
    pub(crate) url: Url,
}

/// Why a request cannot be sent.
pub(crate) enum Unsendable {
    /// The call itself cannot be read: final.
    Call(Invalid),
    /// The webhook cannot be rendered: final.
    Webhook(webhook::Error),
    /// What it renders to is no request that HTTP knows.
    Request(String),
}

impl TryFrom<Call> for Owed {
    type Error = Invalid;

    fn try_from(call: Call) -> Result<Self, Invalid> {
        let Call {
            operation_id,
            webhook_index: _,
            attempt: _,
            webhook,
            request_object,
            correlation_id,
            poll_url,
            valid_for,
            traceparent: _,
        } = call;
        let webhook: Webhook = webhook
            .ok_or_else(|| Invalid::missing("calls.webhook"))?
            .try_into()?;
        let valid_for = valid_for.ok_or_else(|| Invalid::missing("calls.valid_for"))?;
        let valid_for = duration_from("calls.valid_for", valid_for)?;
        Ok(Self {
            idempotency_key: format!("{operation_id}:{}", webhook.id),
            webhook,
            request_object,
            correlation_id,
            poll_url: Some(poll_url).filter(|url| !url.is_empty()),
            valid_for: valid_for.to_std().unwrap_or_default(),
        })
    }
}

impl Owed {
    /// The request, complete; `traceparent` goes with it.
    pub(crate) fn prepare(
        &self,
        client: &Client,
        traceparent: Option<String>,
    ) -> Result<Prepared, Unsendable> {
        let object = Data::request_object(&self.request_object).map_err(|error| {
            Unsendable::Call(Invalid {
                field: "calls.request_object",
                reason: format!("is not JSON: {error}"),
            })
        })?;
        let correlation_id = Some(self.correlation_id.as_str());
        let rendered = match &self.poll_url {
            Some(url) => webhook::poll_request(&self.webhook, &object, correlation_id, url),
            None => webhook::request(&self.webhook, &object, correlation_id),
        };
        let HttpRequest {
            method,
            url,
            headers,
            body,
        } = rendered.map_err(Unsendable::Webhook)?;
        let method: Method = method
            .parse()
            .map_err(|_| unsendable(format!("{method:?} is no HTTP method")))?;
        let url = address(&url)?;
        let mut map = HeaderMap::with_capacity(USUAL_HEADERS);
        for (name, value) in headers {
            append(&mut map, &name, &value)?;
        }
        self.identify(&mut map, traceparent)?;
        let mut request = client
            .request(method, url.clone())
            .build()
            .map_err(|error| unsendable(error.without_url().to_string()))?;
        // What the address says of a user gives way to the template's word.
        for (name, value) in request.headers() {
            map.entry(name).or_insert_with(|| value.clone());
        }
        *request.headers_mut() = map;
        *request.body_mut() = body.map(Into::into);
        Ok(Prepared { request, url })
    }

    /// What tells the external system that a repeat is one, and whose request it serves.
    fn identify(
        &self,
        headers: &mut HeaderMap,
        traceparent: Option<String>,
    ) -> Result<(), Unsendable> {
        let value =
            |text: &str| HeaderValue::from_str(text).map_err(|error| unsendable(error.to_string()));
        headers.insert(IDEMPOTENCY_KEY, value(&self.idempotency_key)?);
        if !headers.contains_key(&REQUEST_ID) && !self.correlation_id.is_empty() {
            headers.insert(REQUEST_ID, value(&self.correlation_id)?);
        }
        if let Some(traceparent) = traceparent {
            headers.insert(TRACEPARENT, value(&traceparent)?);
        }
        Ok(())
    }

    /// What an answer means.
    pub(crate) fn interpret(
        &self,
        status: u16,
        headers: &[(String, String)],
        body: &[u8],
    ) -> Result<webhook::Answer, webhook::Error> {
        match self.poll_url {
            Some(_) => webhook::interpret_poll(&self.webhook, status, headers, body),
            None => webhook::interpret_call(&self.webhook, status, headers, body),
        }
    }
}

fn unsendable(reason: String) -> Unsendable {
    Unsendable::Request(reason)
}

fn address(text: &str) -> Result<Url, Unsendable> {
    // The URL parser drops line ends and tabs, which would call another address than was meant.
    if text.chars().any(char::is_control) {
        return Err(unsendable("control character in URL".to_owned()));
    }
    let url: Url = with_escaped_path(text)
        .parse()
        .map_err(|error| unsendable(format!("{text:?} is no absolute URL: {error}")))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(unsendable(format!(
            "unsupported protocol scheme {scheme:?}"
        ))),
    }
}

/// The address with its path escaped as Compass sends it. The URL parser by itself would leave some
/// characters as they are and take a backslash for a slash.
fn with_escaped_path(text: &str) -> Cow<'_, str> {
    let authority = text.find("://").map_or(0, |at| at + 3);
    let path = text[authority..].find(['/', '\\', '?', '#']);
    let start = path.map_or(text.len(), |at| authority + at);
    let end = text[start..].find(['?', '#']);
    let end = end.map_or(text.len(), |at| start + at);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@%".contains(&byte);
    let is_allowed = |byte: u8| is_plain(byte) || b"!'()*[]".contains(&byte);
    let path = &text[start..end];
    if path.bytes().all(is_allowed) {
        return text.into();
    }
    let mut escaped = text[..start].to_owned();
    for byte in path.bytes() {
        if is_plain(byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped.push_str(&text[end..]);
    escaped.into()
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Unsendable> {
    let name: HeaderName = name
        .parse()
        .map_err(|_| unsendable(format!("invalid header field name {name:?}")))?;
    if CONNECTION.contains(&name) {
        return Ok(());
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        unsendable(format!(
            "invalid header field value for {:?}",
            name.as_str()
        ))
    })?;
    headers.append(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_compass_does() {
        for (text, escaped) in [
            ("http://h/a%2Fb!(c)?q=|", "http://h/a%2Fb!(c)?q=|"),
            ("http://h/a|b (c)?q", "http://h/a%7Cb%20%28c%29?q"),
            ("http://h/a\\..\\b#f|", "http://h/a%5C..%5Cb#f|"),
            ("http://h/gr\u{f6}\u{df}e", "http://h/gr%C3%B6%C3%9Fe"),
            ("http://h", "http://h"),
            ("http://h?a/b|c", "http://h?a/b|c"),
        ] {
            assert_eq!(with_escaped_path(text), escaped);
        }
    }

    #[test]
    fn only_addresses_of_the_web_are_called() {
        for text in [
            "/op/1",
            "h:80/op",
            "ftp://h/",
            "mailto:a@b",
            "*",
            "http://h/a\nb",
        ] {
            assert!(
                matches!(address(text), Err(Unsendable::Request(_))),
                "{text}"
            );
        }
    }
}
