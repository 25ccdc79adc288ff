//! The values of templates, with as much of Go's type system as templates can observe.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::json::Json;

/// A value and its Go type.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Go's zero `reflect.Value`: what a pipeline makes of a nil interface.
    Invalid,
    /// A nil `interface {}`.
    Nil,
    Bool(bool),
    Int(i64),
    Int64(i64),
    Byte(u8),
    Float(f64),
    /// A `float64` that was a whole number in JSON, with its digits.
    Whole(Rc<str>),
    Complex(f64, f64),
    Str(Rc<str>),
    /// A `string` that is the inside of a JSON string already: other values of an answer's body.
    Escaped(Rc<str>),
    /// A string of a type of its own.
    Named(&'static str, Rc<str>),
    /// `*string`.
    StrPtr(Option<Rc<str>>),
    /// `[]uint8`.
    Bytes(Rc<[u8]>),
    /// `json.RawMessage`.
    Raw(Rc<str>),
    /// `[]interface {}`.
    List(Rc<List>),
    /// `[]string`.
    Strings(Rc<Vec<Rc<str>>>),
    /// `[]int`.
    Ints(Rc<Vec<i64>>),
    /// `map[string]interface {}`.
    Map(Rc<Map>),
    /// `map[string]string`.
    StrMap(Rc<BTreeMap<Rc<str>, Value>>),
    /// A nil `map[string]string`, which reads as an empty one but is null in JSON.
    NilStrMap,
    Struct(Rc<Struct>),
    /// A pointer to a struct, of this type where it is nil.
    Ptr(Result<Rc<Struct>, &'static str>),
    Time(Rc<Time>),
}

/// A slice. It takes itself apart without recursion, since a template may nest as it likes.
#[derive(Debug, Default)]
pub(super) struct List(pub Vec<Value>);

/// A map that functions of templates change in place.
#[derive(Debug, Default)]
pub(super) struct Map(pub RefCell<BTreeMap<Rc<str>, Value>>);

#[derive(Debug)]
pub(super) struct Struct {
    pub kind: &'static str,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: &'static str,
    /// The name in JSON.
    pub json: &'static str,
    pub value: Value,
    /// Its fields count as fields of the struct, too.
    pub embedded: bool,
    /// The interface type that the value is held in.
    pub interface: Option<&'static str>,
}

/// A point in time as Compass's Application carries it.
#[derive(Clone, Debug)]
pub(super) struct Time {
    /// RFC 3339, as it was given.
    pub text: String,
    /// The time itself, where a function made it: not every one can be read back.
    pub computed: Option<chrono::DateTime<chrono::FixedOffset>>,
    /// It is held by a pointer.
    pub pointer: bool,
}

/// What Go's reflection calls kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invalid,
    Bool,
    Int,
    Uint,
    Float,
    Complex,
    String,
    Slice,
    Map,
    Struct,
    Ptr,
}

impl Drop for List {
    fn drop(&mut self) {
        drop_flat(std::mem::take(&mut self.0));
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        drop_flat(self.0.take().into_values().collect());
    }
}

fn drop_flat(mut values: Vec<Value>) {
    while let Some(value) = values.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(list) = Rc::get_mut(&mut list) {
                    values.append(&mut list.0);
                }
            }
            Value::Map(mut map) => {
                if let Some(map) = Rc::get_mut(&mut map) {
                    values.extend(map.0.take().into_values());
                }
            }
            _ => {}
        }
    }
}

impl Value {
    pub(super) fn str(text: impl Into<Rc<str>>) -> Self {
        Self::Str(text.into())
    }

    pub(super) fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(List(items)))
    }

    pub(super) fn strings(items: impl IntoIterator<Item = impl Into<Rc<str>>>) -> Self {
        Self::Strings(Rc::new(items.into_iter().map(Into::into).collect()))
    }

    pub(super) fn map(members: BTreeMap<Rc<str>, Self>) -> Self {
        Self::Map(Rc::new(Map(RefCell::new(members))))
    }

    /// A length or index.
    pub(super) fn size(size: usize) -> Self {
        Self::Int(i64::try_from(size).unwrap_or(i64::MAX))
    }

    /// What Go's decoder makes of JSON for an `interface {}`.
    pub(super) fn from_json(json: &Json<'_>) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(text) if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                Self::Whole((*text).into())
            }
            Json::Number(text) => Self::Float(text.parse().unwrap_or(f64::INFINITY)),
            Json::String(text) => Self::str(&**text),
            Json::Array(items) => Self::list(items.iter().map(Self::from_json).collect()),
            Json::Object(members) => {
                let member = |(name, value): &(Cow<'_, str>, Json<'_>)| {
                    (Rc::from(&**name), Self::from_json(value))
                };
                Self::map(members.iter().map(member).collect())
            }
        }
    }

    /// Whether reflection finds no value.
    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::Invalid | Self::Nil)
    }

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Invalid | Self::Nil => Kind::Invalid,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::Int64(_) => Kind::Int,
            Self::Byte(_) => Kind::Uint,
            Self::Float(_) | Self::Whole(_) => Kind::Float,
            Self::Complex(..) => Kind::Complex,
            Self::Str(_) | Self::Escaped(_) | Self::Named(..) => Kind::String,
            Self::Bytes(_) | Self::Raw(_) | Self::List(_) | Self::Strings(_) | Self::Ints(_) => {
                Kind::Slice
            }
            Self::Map(_) | Self::StrMap(_) | Self::NilStrMap => Kind::Map,
            Self::Struct(_) | Self::Time(_) => Kind::Struct,
            Self::StrPtr(_) | Self::Ptr(_) => Kind::Ptr,
        }
    }

    /// The kind's name as `reflect.Kind` prints it.
    pub(super) fn kind_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Int64(_) => "int64",
            Self::Byte(_) => "uint8",
            Self::Float(_) | Self::Whole(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::Time(time) if time.pointer => "ptr",
            _ => match self.kind() {
                Kind::Bool => "bool",
                Kind::String => "string",
                Kind::Slice => "slice",
                Kind::Map => "map",
                Kind::Struct => "struct",
                Kind::Ptr => "ptr",
                _ => "invalid",
            },
        }
    }

    /// The name of the type as `%T` prints it.
    pub(super) fn type_name(&self) -> String {
        let name = match self {
            Self::Invalid | Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Str(_) | Self::Escaped(_) => "string",
            Self::Named(name, _) => name,
            Self::StrPtr(_) => "*string",
            Self::Bytes(_) => "[]uint8",
            Self::Raw(_) => "json.RawMessage",
            Self::List(_) => "[]interface {}",
            Self::Strings(_) => "[]string",
            Self::Ints(_) => "[]int",
            Self::Map(_) => "map[string]interface {}",
            Self::StrMap(_) | Self::NilStrMap => "map[string]string",
            Self::Struct(value) => value.kind,
            Self::Ptr(Ok(value)) => return format!("*{}", value.kind),
            Self::Ptr(Err(kind)) => return format!("*{kind}"),
            Self::Time(time) if time.pointer => "*graphql.Timestamp",
            Self::Time(_) => "graphql.Timestamp",
            number => number.kind_name(),
        };
        name.to_owned()
    }

    /// The text of a string of any type; not of a pointer to one.
    pub(super) fn text(&self) -> Option<&Rc<str>> {
        match self {
            Self::Str(text) | Self::Escaped(text) | Self::Named(_, text) => Some(text),
            _ => None,
        }
    }

    /// The value as a template prints it: a pointer to a struct gives way to the struct.
    pub(super) fn printable(&self) -> Self {
        match self {
            Self::Ptr(Ok(value)) => Self::Struct(value.clone()),
            Self::Time(time) if time.pointer => Self::Time(Rc::new(Time {
                pointer: false,
                ..Time::clone(time)
            })),
            value => value.clone(),
        }
    }

    /// What a pointer points to; None where it is nil.
    pub(super) fn pointee(&self) -> Option<Self> {
        match self {
            Self::StrPtr(text) => text.clone().map(Self::Str),
            Self::Ptr(value) => value.clone().ok().map(Self::Struct),
            value => Some(value.clone()),
        }
    }

    pub(super) fn is_nil(&self) -> bool {
        matches!(
            self,
            Self::Invalid | Self::Nil | Self::NilStrMap | Self::StrPtr(None) | Self::Ptr(Err(_))
        )
    }

    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Invalid | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Int64(value) => *value != 0,
            Self::Byte(value) => *value != 0,
            Self::Float(_) | Self::Whole(_) => self.as_f64().is_some_and(|value| value != 0.0),
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::StrPtr(text) => text.is_some(),
            Self::Ptr(value) => value.is_ok(),
            Self::Struct(_) | Self::Time(_) => true,
            value => value.len().is_some_and(|length| length > 0),
        }
    }

    /// The length of a string, slice or map.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::Str(text) | Self::Escaped(text) | Self::Named(_, text) | Self::Raw(text) => {
                Some(text.len())
            }
            Self::Bytes(bytes) => Some(bytes.len()),
            Self::List(list) => Some(list.0.len()),
            Self::Strings(items) => Some(items.len()),
            Self::Ints(items) => Some(items.len()),
            Self::Map(map) => Some(map.0.borrow().len()),
            Self::StrMap(map) => Some(map.len()),
            Self::NilStrMap => Some(0),
            _ => None,
        }
    }

    /// The elements of a slice.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(list) => Some(list.0.clone()),
            Self::Strings(items) => Some(items.iter().cloned().map(Self::Str).collect()),
            Self::Ints(items) => Some(items.iter().copied().map(Self::Int).collect()),
            Self::Bytes(bytes) => Some(bytes.iter().copied().map(Self::Byte).collect()),
            Self::Raw(text) => Some(text.bytes().map(Self::Byte).collect()),
            _ => None,
        }
    }

    /// The members of a map, by key.
    pub(super) fn members(&self) -> Option<Vec<(Rc<str>, Self)>> {
        let pair = |(key, value): (&Rc<str>, &Self)| (key.clone(), value.clone());
        match self {
            Self::Map(map) => Some(map.0.borrow().iter().map(pair).collect()),
            Self::StrMap(map) => Some(map.iter().map(pair).collect()),
            Self::NilStrMap => Some(Vec::new()),
            _ => None,
        }
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Whole(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(super) const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) | Self::Int64(value) => Some(*value),
            _ => None,
        }
    }
}

impl Struct {
    /// The field of this name, embedded structs included. The error is that of a nil one.
    pub(super) fn field(&self, name: &str) -> Option<Result<&Field, String>> {
        if let Some(field) = self.fields.iter().find(|field| field.name == name) {
            return Some(Ok(field));
        }
        self.fields
            .iter()
            .filter(|field| field.embedded)
            .find_map(|field| match &field.value {
                Value::Ptr(Ok(value)) | Value::Struct(value) => value.field(name),
                Value::Ptr(Err(kind)) => super::data::has_field(kind, name).then(|| {
                    let short = kind.rsplit('.').next().unwrap_or(kind);
                    Err(format!(
                        "reflect: indirection through nil pointer to embedded struct field {short}"
                    ))
                }),
                _ => None,
            })
    }
}
