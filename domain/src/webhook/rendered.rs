//! What the templates of a webhook must render to.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::go_url;
use crate::template::{self, Data, json, json::Json};

/// Why a template does not give what it must. The text is Compass's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rendering {
    /// The template itself is wrong, or it failed on this data.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// What it rendered is not JSON, or not JSON of the right shape.
    #[error("{0}")]
    Shape(String),
    /// The JSON lacks a member or holds a value that is not allowed.
    #[error("{0}")]
    Content(String),
}

/// Where a call goes, from the URL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub method: String,
    pub path: String,
}

/// The answer to a call, from the output template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub success_status_code: i64,
    pub incomplete_status_code: Option<i64>,
    pub gone_status_code: Option<i64>,
    pub location: Option<String>,
    pub error: String,
    pub config: Option<String>,
    pub state: Option<String>,
}

/// The answer to a poll, from the status template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub status: String,
    pub success_status_code: i64,
    pub success_status_identifier: String,
    pub in_progress_status_identifier: String,
    pub failed_status_identifier: String,
    pub error: String,
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

impl Target {
    pub fn render(template: &str, data: &Data) -> Result<Self, Rendering> {
        let text = template::render_json(template, data)?;
        let members = Members::parse(&text, "URL")?;
        let [method, path] = members.texts(["method", "path"])?;
        let method = method.ok_or_else(|| missing("URL", "method"))?;
        if !METHODS.contains(&method.as_str()) {
            let text = format!(
                "http method not allowed, allowed methods: [{}]",
                METHODS.join(" ")
            );
            return Err(Rendering::Content(text));
        }
        let path = path.ok_or_else(|| missing("URL", "path"))?;
        go_url::parse_request_uri(&path).map_err(|error| {
            Rendering::Content(format!("failed to parse URL Template path field: {error}"))
        })?;
        Ok(Self { method, path })
    }
}

impl Output {
    pub fn render(template: &str, data: &Data) -> Result<Self, Rendering> {
        let text = template::render_json(template, data)?;
        let members = Members::parse(&text, "Response")?;
        let [error, location, config, state] =
            members.texts(["error", "location", "config", "state"])?;
        let success_status_code = members
            .code("success_status_code")?
            .ok_or_else(|| missing("Output", "success status code"))?;
        Ok(Self {
            success_status_code,
            incomplete_status_code: members.code("incomplete_status_code")?,
            gone_status_code: members.code("gone_status_code")?,
            location,
            error: error.ok_or_else(|| missing("Output", "error"))?,
            config,
            state,
        })
    }
}

impl Status {
    pub fn render(template: &str, data: &Data) -> Result<Self, Rendering> {
        let text = template::render_json(template, data)?;
        let members = Members::parse(&text, "ResponseStatus")?;
        let [status, success, in_progress, failed, error] = members.texts([
            "status",
            "success_status_identifier",
            "in_progress_status_identifier",
            "failed_status_identifier",
            "error",
        ])?;
        let code = members.code("success_status_code")?;
        let missing = |name| move || missing("Status", name);
        Ok(Self {
            status: status.ok_or_else(missing("status"))?,
            success_status_code: code.ok_or_else(missing("success status code"))?,
            success_status_identifier: success.ok_or_else(missing("success status identifier"))?,
            in_progress_status_identifier: in_progress
                .ok_or_else(missing("in progress status identifier"))?,
            failed_status_identifier: failed.ok_or_else(missing("failed status identifier"))?,
            error: error.ok_or_else(missing("error"))?,
        })
    }
}

/// The body that an input template renders to: any JSON value, as it was written.
pub(crate) fn body(template: &str, data: &Data) -> Result<String, Rendering> {
    let text = template::render_json(template, data)?;
    json::parse(&text).map_err(Rendering::Shape)?;
    let body = text.trim_matches([' ', '\t', '\r', '\n']);
    Ok(if body.len() == text.len() {
        text
    } else {
        body.to_owned()
    })
}

/// Headers by their names. A null stands for no values, and for no headers.
pub(crate) type Headers = Option<BTreeMap<String, Option<Vec<String>>>>;

/// The headers that a header template renders to, an object of lists of strings.
pub(crate) fn headers(template: &str, data: &Data) -> Result<Headers, Rendering> {
    let text = template::render_json(template, data)?;
    let members = match json::parse(&text).map_err(Rendering::Shape)? {
        Json::Object(members) => members,
        Json::Null => return Ok(None),
        other => return Err(wrong_type(&other, "value", "http.Header")),
    };
    let mut headers = BTreeMap::new();
    for (name, value) in members {
        let values = match value {
            Json::Array(items) => Some(
                items
                    .into_iter()
                    .map(header_value)
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Json::Null => None,
            other => return Err(wrong_type(&other, "value", "[]string")),
        };
        headers.insert(name.into_owned(), values);
    }
    Ok(Some(headers))
}

fn header_value(value: Json<'_>) -> Result<String, Rendering> {
    match value {
        Json::String(text) => Ok(text.into_owned()),
        Json::Null => Ok(String::new()),
        other => Err(wrong_type(&other, "value", "string")),
    }
}

fn missing(template: &str, member: &str) -> Rendering {
    Rendering::Content(format!("missing {template} Template {member} field"))
}

fn wrong_type(value: &Json<'_>, what: &str, wanted: &str) -> Rendering {
    let found = value.kind();
    let text = format!("json: cannot unmarshal {found} into Go {what} of type {wanted}");
    Rendering::Shape(text)
}

/// The members of a rendered object, found by name as Go's decoder finds them: in any case, the
/// last of several wins, a null clears.
struct Members<'a> {
    shape: &'static str,
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Members<'a> {
    fn parse(text: &'a str, shape: &'static str) -> Result<Self, Rendering> {
        match json::parse(text).map_err(Rendering::Shape)? {
            Json::Object(members) => Ok(Self { shape, members }),
            Json::Null => Ok(Self {
                shape,
                members: Vec::new(),
            }),
            other => Err(wrong_type(&other, "value", &format!("webhook.{shape}"))),
        }
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &Json<'a>> {
        let matching = self
            .members
            .iter()
            .filter(move |(key, _)| json::same_name(key, name));
        matching.map(|(_, value)| value)
    }

    fn texts<const N: usize>(&self, names: [&str; N]) -> Result<[Option<String>; N], Rendering> {
        let mut texts = [const { None }; N];
        for (slot, name) in texts.iter_mut().zip(names) {
            for value in self.all(name) {
                *slot = match value {
                    Json::String(text) => Some(text.clone().into_owned()),
                    Json::Null => None,
                    other => {
                        let field = format!("struct field {}.{name}", self.shape);
                        return Err(wrong_type(other, &field, "string"));
                    }
                };
            }
        }
        Ok(texts)
    }

    fn code(&self, name: &str) -> Result<Option<i64>, Rendering> {
        let mut code = None;
        for value in self.all(name) {
            let field = || format!("struct field {}.{name}", self.shape);
            code = match value {
                Json::Number(text) => match text.parse::<i64>() {
                    Ok(number) => Some(number),
                    Err(_) => {
                        return Err(Rendering::Shape(format!(
                            "json: cannot unmarshal number {text} into Go {} of type int",
                            field()
                        )));
                    }
                },
                Json::Null => None,
                other => return Err(wrong_type(other, &field(), "int")),
            };
        }
        Ok(code)
    }
}
