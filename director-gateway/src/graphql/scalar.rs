//! Scalars of the API.

use async_graphql::resolver_utils::{EnumType, enum_value};
use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use sea_orm::prelude::DateTimeUtc;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::registry::label::Labels as LabelMap;
use crate::registry::{Error, snapshot};

/// Labels by their keys: an object whose values may be anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(pub Json);

/// Labels by their keys: an object whose values may be anything.
#[Scalar]
impl ScalarType for Labels {
    fn parse(value: Value) -> InputValueResult<Self> {
        // What is no object is refused later, with the place of the argument.
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

impl Labels {
    /// The labels, if they are an object; `argument` is their path below the field.
    pub(crate) fn map(&self, argument: &str) -> Result<LabelMap, Error> {
        let found = match &self.0 {
            Json::Object(labels) => return Ok(labels.clone().into_iter().collect()),
            Json::Null => "<nil>",
            Json::Bool(_) => "bool",
            Json::Number(_) => "json.Number",
            Json::String(_) => "string",
            Json::Array(_) => "[]interface {}",
        };
        Err(Error::Argument {
            argument: argument.to_owned(),
            text: format!("unexpected Labels type: {found}, should be map[string]interface{{}}"),
        })
    }

    /// Labels to show: all, or the one under `key`.
    pub(crate) fn of(labels: &LabelMap, key: Option<&str>) -> Self {
        let shown = labels
            .iter()
            .filter(|(name, _)| key.is_none_or(|key| *name == key))
            .map(|(name, value)| (name.clone(), value.clone()));
        Self(Json::Object(shown.collect()))
    }
}

/// Any value.
#[derive(Clone, Debug, PartialEq)]
pub struct Any(pub Json);

/// Any value.
#[Scalar]
impl ScalarType for Any {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value.into_json()?))
    }

    fn to_value(&self) -> Value {
        Value::from_json(self.0.clone()).unwrap_or_default()
    }
}

/// A time: RFC 3339, UTC, whole seconds.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(pub DateTimeUtc);

/// A time: RFC 3339, UTC, whole seconds.
#[Scalar]
impl ScalarType for Timestamp {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Ok(Self(text.parse().map_err(InputValueError::custom)?)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(snapshot::timestamp(self.0))
    }
}

/// Where a page of a list begins. Take it from `pageInfo.endCursor` of the page before.
#[derive(Clone, Debug)]
pub struct PageCursor(pub String);

/// Where a page of a list begins. Take it from `pageInfo.endCursor` of the page before.
#[Scalar]
impl ScalarType for PageCursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(_))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// The item of an enum with the name that the database keeps.
pub(crate) fn enum_item<E: EnumType>(name: &str) -> Option<E> {
    E::items()
        .iter()
        .find(|item| item.name == name)
        .map(|item| item.value)
}

/// The name of an item that the database keeps.
pub(crate) fn enum_name<E: EnumType>(item: E) -> String {
    match enum_value(item) {
        Value::Enum(name) => name.as_str().to_owned(),
        other => other.to_string(),
    }
}
