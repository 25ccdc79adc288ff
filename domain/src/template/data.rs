//! What a template renders: the request object of an operation, or the answer of another system.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use chrono::{DateTime, FixedOffset};

use super::json::{self, Json, same_name};
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
/// With its name, status and entity.
const APPLICATION_FIELDS: usize = BEFORE_STATUS.len() + BEHIND_STATUS.len() + 3;
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
    /// The request object of an application's operation, JSON like
    /// `{"Application": {...}, "TenantID": "...", "Headers": {...}}`. Members are found in any case,
    /// as Go's decoder finds them.
    pub fn request_object(object: &str) -> Result<Self, String> {
        Ok(Self::object(&json::parse(object)?))
    }

    fn object(object: &Json<'_>) -> Self {
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
                let id = (Cow::Borrowed("id"), Json::String(Cow::default()));
                let application = (Cow::Borrowed("Application"), Json::Object(vec![id]));
                return Some(Self::object(&Json::Object(vec![application])));
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
                Json::Object(members) => members,
                Json::Null => Vec::new(),
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
                    Json::Null => members.remove(&*name),
                    Json::String(text) => members.insert(name.into(), Value::str(text)),
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
    let mut canonical = String::with_capacity(name.len());
    let mut starts = true;
    for letter in name.chars() {
        canonical.push(if starts {
            letter.to_ascii_uppercase()
        } else {
            letter.to_ascii_lowercase()
        });
        starts = letter == '-';
    }
    canonical
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

/// The last member of this name, or else of the name in another case.
fn find<'a, 'b>(object: &'b Json<'a>, name: &str) -> Option<&'b Json<'a>> {
    let Json::Object(members) = object else {
        return None;
    };
    let mut last_first = members.iter().rev();
    let exact = last_first.clone().find(|(key, _)| key == name);
    let found = exact.or_else(|| last_first.find(|(key, _)| same_name(key, name)));
    found.map(|(_, value)| value)
}

fn member<'a, 'b>(object: &'b Json<'a>, name: &str) -> &'b Json<'a> {
    find(object, name).unwrap_or(&Json::Null)
}

fn application(application: &Json<'_>) -> Value {
    let optional = |(name, json)| named((name, json), optional(member(application, json)));
    let mut fields = Vec::with_capacity(APPLICATION_FIELDS);
    fields.push(named(("Name", "name"), text(member(application, "name"))));
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
                            .as_text()
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
    let is_given = |name: &&str| find(application, name).is_some();
    let entity = if ENTITY_MEMBERS.iter().any(is_given) {
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

fn entity(application: &Json<'_>) -> Value {
    let mut fields = Vec::with_capacity(ENTITY_MEMBERS.len());
    fields.push(named(("ID", "id"), text(member(application, "id"))));
    let is_ready = matches!(member(application, "ready"), Json::Bool(true));
    fields.push(named(("Ready", "ready"), Value::Bool(is_ready)));
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

fn text(value: &Json<'_>) -> Value {
    Value::str(value.as_text().unwrap_or_default())
}

fn optional(value: &Json<'_>) -> Value {
    Value::StrPtr(value.as_text().map(Into::into))
}

fn texts(value: &Json<'_>) -> Value {
    let Json::Object(members) = value else {
        return Value::NilStrMap;
    };
    // Collecting would sort these few first, which costs more than all else here.
    let mut texts = BTreeMap::new();
    for (name, value) in members {
        texts.insert(Rc::from(&**name), text(value));
    }
    Value::StrMap(Rc::new(texts))
}

fn time(value: &Json<'_>, pointer: bool) -> Value {
    let text = value.as_text().unwrap_or("0001-01-01T00:00:00Z").to_owned();
    Value::Time(Rc::new(Time {
        text,
        computed: None,
        pointer,
    }))
}

impl Time {
    /// None where the text is no time.
    pub(super) fn parsed(&self) -> Option<DateTime<FixedOffset>> {
        self.computed
            .or_else(|| DateTime::parse_from_rfc3339(&self.text).ok())
    }

    /// What Go's struct of a time holds: nanoseconds, seconds since the year 1, and the zone, which
    /// is nil for UTC.
    pub(super) fn go_parts(&self) -> (u32, i64, Option<String>) {
        const YEAR_1: i64 = 62_135_596_800;
        let Some(time) = self.parsed() else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_and_the_names_own_case_before_all() {
        let object = json::parse(r#"{"id":"1","ID":"2","id":"3","NAME":"4","Name":"5"}"#).unwrap();
        assert_eq!(member(&object, "id").as_text(), Some("3"));
        assert_eq!(member(&object, "name").as_text(), Some("5"));
        assert_eq!(member(&object, "error"), &Json::Null);
    }
}
