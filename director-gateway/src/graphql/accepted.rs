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
    /// Where to ask for the state of the resource.
    location: String,
}

impl Accepted {
    /// Notes an operation with the poll URL of its resource.
    pub fn push(&self, operation: Uuid, location: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Started {
                operation,
                location,
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
            .map(|one| Value::from(one.location.as_str()))
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
