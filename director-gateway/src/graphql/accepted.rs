//! The operations that a request started.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Name, Value};
use indexmap::IndexMap;
use uuid::Uuid;

/// The operations that a request started, in the order in which they were accepted.
#[derive(Clone, Debug, Default)]
pub struct Accepted(Arc<Mutex<Vec<Started>>>);

#[derive(Clone, Debug)]
struct Started {
    operation: Uuid,
    /// Where to ask for the operation.
    location: String,
    /// Where to ask for the state of the resource.
    resource_location: String,
}

impl Accepted {
    /// Notes an operation on an application of the registry at `public_url`.
    pub fn push(&self, public_url: &str, operation: Uuid, application: Uuid) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Started {
                operation,
                location: format!("{public_url}/operations/{operation}"),
                resource_location: format!("{public_url}/last_operation/application/{application}"),
            });
    }

    /// The values of the answer's extensions `locations` and `operations`, if there were any.
    pub(crate) fn extensions(&self) -> Option<(Value, Value)> {
        let started = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if started.is_empty() {
            return None;
        }
        let locations = started
            .iter()
            .map(|one| Value::from(one.resource_location.as_str()))
            .collect();
        let operations = started.iter().map(|one| {
            Value::Object(IndexMap::from([
                (Name::new("id"), Value::from(one.operation.to_string())),
                (Name::new("location"), Value::from(one.location.as_str())),
            ]))
        });
        Some((Value::List(locations), Value::List(operations.collect())))
    }
}
