//! What a template renders: the request object of an operation, or the answer of another system.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use super::json::{self, same_name};
use super::value::{Field, Struct, Time, Value};
use super::{formation, functions};
use crate::webhook::WebhookType;

/// The value that is the dot of a template when it starts.
#[derive(Debug)]
pub struct Data {
    pub(super) root: Value,
}

const APPLICATION: &str = "graphql.Application";
const ENTITY: &str = "graphql.BaseEntity";
const STATUS: &str = "graphql.ApplicationStatus";
const TIMESTAMP: &str = "graphql.Timestamp";

/// The optional texts of an application, in the order of Go's struct: names in Go and in JSON.
const BEFORE_STATUS: [(&str, &str); 4] = [
    ("ProviderName", "providerName"),
    ("IntegrationSystemID", "integrationSystemID"),
    ("ApplicationTemplateID", "applicationTemplateID"),
    ("Description", "description"),
];
const BEHIND_STATUS: [(&str, &str); 6] = [
    ("HealthCheckURL", "healthCheckURL"),
    ("SystemNumber", "systemNumber"),
    ("LocalTenantID", "localTenantID"),
    ("SystemStatus", "systemStatus"),
    ("BaseURL", "baseUrl"),
    ("ApplicationNamespace", "applicationNamespace"),
];
const ENTITY_TIMES: [(&str, &str); 3] = [
    ("CreatedAt", "createdAt"),
    ("UpdatedAt", "updatedAt"),
    ("DeletedAt", "deletedAt"),
];
const ENTITY_MEMBERS: [&str; 6] = [
    "id",
    "ready",
    "createdAt",
    "updatedAt",
    "deletedAt",
    "error",
];

impl Data {
    /// The request object of an application's operation. Members are found in any case, as Go's
    /// decoder finds them.
    pub fn request_object(object: &Json) -> Self {
        let application = application(member(object, "Application"));
        let fields = vec![
            Field {
                interface: Some("webhook.Resource"),
                ..field("Application", application)
            },
            field("TenantID", text(member(object, "TenantID"))),
            field("Headers", texts(member(object, "Headers"))),
        ];
        Self {
            root: structure("webhook.ApplicationLifecycleWebhookRequestObject", fields),
        }
    }

    /// The object that templates of this type are tried with when they are saved; None for a type
    /// that has no request templates.
    pub fn empty_request_object(kind: WebhookType) -> Option<Self> {
        let root = match kind {
            WebhookType::RegisterApplication | WebhookType::UnregisterApplication => {
                let empty = serde_json::json!({"Application": {"id": ""}});
                return Some(Self::request_object(&empty));
            }
            WebhookType::ConfigurationChanged => formation::configuration_change(),
            WebhookType::ApplicationTenantMapping => formation::tenant_mapping(),
            WebhookType::FormationLifecycle => formation::lifecycle(),
            WebhookType::OpenResourceDiscovery
            | WebhookType::OpenResourceDiscoveryStatic
            | WebhookType::SystemFieldDiscovery => return None,
        };
        Some(Self { root })
    }

    /// The answer to a call or poll. Its body must be a JSON object, or nothing; the error says why
    /// it is not. Nulls are left out, and values that are no texts are there as their JSON.
    pub fn answer(headers: &[(String, String)], body: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(body);
        let mut members = BTreeMap::new();
        if !body.is_empty() {
            let parsed = match json::parse(&text)? {
                json::Json::Object(members) => members,
                json::Json::Null => Vec::new(),
                other => {
                    let kind = other.kind();
                    return Err(format!(
                        "json: cannot unmarshal {kind} into Go value of type \
                         map[string]interface {{}}"
                    ));
                }
            };
            for (name, value) in parsed {
                match value {
                    json::Json::Null => members.remove(name.as_str()),
                    json::Json::String(text) => members.insert(name.into(), Value::str(text)),
                    other => {
                        let text = functions::canonical_json(&Value::from_json(&other))?;
                        let inside = functions::json_string(&text, false);
                        let inside = inside.trim_start_matches('"');
                        let inside = inside.strip_suffix('"').unwrap_or(inside);
                        members.insert(name.into(), Value::Escaped(inside.into()))
                    }
                };
            }
        }
        let mut first: BTreeMap<Rc<str>, Value> = BTreeMap::new();
        for (name, value) in headers {
            let name = canonical(name);
            first
                .entry(name.into())
                .or_insert_with(|| Value::str(value.as_str()));
        }
        Ok(Self::answer_of(members, first))
    }

    /// An answer with neither headers nor a body.
    pub fn empty_answer() -> Self {
        Self::answer_of(BTreeMap::new(), BTreeMap::new())
    }

    fn answer_of(body: BTreeMap<Rc<str>, Value>, headers: BTreeMap<Rc<str>, Value>) -> Self {
        let fields = vec![
            field("Body", Value::StrMap(Rc::new(body))),
            field("Headers", Value::StrMap(Rc::new(headers))),
        ];
        Self {
            root: structure("webhook.ResponseObject", fields),
        }
    }
}

/// The name of a header as Go writes it: every word begins with a capital letter.
fn canonical(name: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !name.chars().all(is_token) {
        return name.to_owned();
    }
    let mut starts = true;
    let letters = name.chars().map(|c| {
        let letter = if starts {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        };
        starts = c == '-';
        letter
    });
    letters.collect()
}

/// Whether a struct has a field of this name, for messages about a nil pointer to it.
pub(super) fn has_field(kind: &str, name: &str) -> bool {
    let names: &[&str] = match kind {
        STATUS => &["Condition", "Timestamp"],
        ENTITY => &[
            "ID",
            "Ready",
            "CreatedAt",
            "UpdatedAt",
            "DeletedAt",
            "Error",
        ],
        _ => return formation::has_field(kind, name),
    };
    names.contains(&name)
}

/// The result of a method of a struct, where it has one of this name.
pub(super) fn method(value: &Struct, name: &str) -> Option<Result<Value, String>> {
    match (value.kind, name) {
        (APPLICATION, "GetType") => Some(Ok(Value::Named("resource.Type", "application".into()))),
        (ENTITY, "GetType") => Some(Ok(Value::Named("resource.Type", "".into()))),
        (APPLICATION | ENTITY, "GetID") => Some(match value.field("ID") {
            Some(Ok(field)) => Ok(field.value.clone()),
            _ => Err(format!(
                "error calling GetID: {}",
                "runtime error: invalid memory address or nil pointer dereference"
            )),
        }),
        (APPLICATION, "Sentinel" | "IsFormationParticipant") => Some(Err(format!(
            "function {name} has 0 return values; should be 1 or 2"
        ))),
        _ => None,
    }
}

pub(super) fn field(name: &'static str, value: Value) -> Field {
    Field {
        name,
        json: name,
        value,
        embedded: false,
        interface: None,
    }
}

pub(super) fn structure(kind: &'static str, fields: Vec<Field>) -> Value {
    Value::Struct(Rc::new(Struct { kind, fields }))
}

pub(super) fn pointer(kind: &'static str, fields: Vec<Field>) -> Value {
    Value::Ptr(Ok(Rc::new(Struct { kind, fields })))
}

fn named((name, json): (&'static str, &'static str), value: Value) -> Field {
    Field {
        json,
        ..field(name, value)
    }
}

/// The last member of this name that is not null.
fn member<'a>(object: &'a Json, name: &str) -> &'a Json {
    let members = object.as_object();
    let exact = members.and_then(|members| members.get(name));
    let found = exact.or_else(|| {
        members?
            .iter()
            .find(|(key, _)| same_name(key, name))
            .map(|(_, value)| value)
    });
    found.unwrap_or(&Json::Null)
}

fn application(application: &Json) -> Value {
    let optional = |(name, json)| named((name, json), optional(member(application, json)));
    let mut fields = vec![named(("Name", "name"), text(member(application, "name")))];
    fields.extend(BEFORE_STATUS.map(optional));
    let status = match member(application, "status") {
        Json::Null => Value::Ptr(Err(STATUS)),
        status => pointer(
            STATUS,
            vec![
                named(
                    ("Condition", "condition"),
                    Value::Named(
                        "graphql.ApplicationStatusCondition",
                        member(status, "condition")
                            .as_str()
                            .unwrap_or_default()
                            .into(),
                    ),
                ),
                named(
                    ("Timestamp", "timestamp"),
                    time(member(status, "timestamp"), false),
                ),
            ],
        ),
    };
    fields.push(named(("Status", "status"), status));
    fields.extend(BEHIND_STATUS.map(optional));
    let given = |members: &serde_json::Map<String, Json>| {
        members
            .keys()
            .any(|key| ENTITY_MEMBERS.iter().any(|name| same_name(key, name)))
    };
    let entity = if application.as_object().is_some_and(given) {
        entity(application)
    } else {
        Value::Ptr(Err(ENTITY))
    };
    fields.push(Field {
        embedded: true,
        ..field("BaseEntity", entity)
    });
    pointer(APPLICATION, fields)
}

fn entity(application: &Json) -> Value {
    let mut fields = vec![
        named(("ID", "id"), text(member(application, "id"))),
        named(
            ("Ready", "ready"),
            Value::Bool(member(application, "ready").as_bool().unwrap_or_default()),
        ),
    ];
    for (name, json) in ENTITY_TIMES {
        let value = match member(application, json) {
            Json::Null => Value::Ptr(Err(TIMESTAMP)),
            given => time(given, true),
        };
        fields.push(named((name, json), value));
    }
    fields.push(named(
        ("Error", "error"),
        optional(member(application, "error")),
    ));
    pointer(ENTITY, fields)
}

fn text(value: &Json) -> Value {
    Value::str(value.as_str().unwrap_or_default())
}

fn optional(value: &Json) -> Value {
    Value::StrPtr(value.as_str().map(Into::into))
}

fn texts(value: &Json) -> Value {
    let Some(members) = value.as_object() else {
        return Value::NilStrMap;
    };
    let member = |(name, value): (&String, &Json)| (Rc::from(name.as_str()), text(value));
    Value::StrMap(Rc::new(members.iter().map(member).collect()))
}

fn time(value: &Json, pointer: bool) -> Value {
    let text = value.as_str().unwrap_or("0001-01-01T00:00:00Z").to_owned();
    let parsed = chrono::DateTime::parse_from_rfc3339(&text).ok();
    Value::Time(Rc::new(Time {
        text,
        parsed,
        pointer,
    }))
}

impl Time {
    /// What Go's struct of a time holds: nanoseconds, seconds since the year 1, and the zone, which
    /// is nil for UTC.
    pub(super) fn go_parts(&self) -> (u32, i64, Option<String>) {
        const YEAR_1: i64 = 62_135_596_800;
        let Some(time) = self.parsed else {
            return (0, 0, None);
        };
        let zone = (time.offset().local_minus_utc() != 0).then(|| time.offset().to_string());
        (
            time.timestamp_subsec_nanos(),
            time.timestamp() + YEAR_1,
            zone,
        )
    }

    pub(super) fn json(&self) -> String {
        functions::json_string(&self.text, true)
    }
}
