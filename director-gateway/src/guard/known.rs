//! Documents that were let through a while ago, parsed: clients send the same few again and again, and parsing one
//! costs more than most of what it asks for.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_graphql::ValidationResult;

use super::Admitted;

/// Documents of a generation: when there are more, those that were not asked for since the last time are forgotten.
const GENERATION: usize = 128;
/// Bytes of a document that is kept, at most.
const LENGTH: usize = 4 * 1024;
/// Nodes of a document that is kept, at most.
const NODES: usize = 200;

/// What the library found when it looked whether a document is valid, once it has found it so. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Validity(Arc<OnceLock<ValidationResult>>);

impl Validity {
    pub(crate) fn get(&self) -> Option<ValidationResult> {
        self.0.get().copied()
    }

    /// What comes second is the same.
    pub(crate) fn set(&self, result: ValidationResult) {
        let _ = self.0.set(result);
    }
}

/// Documents by their text.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Generations>);

type Documents = HashMap<Arc<str>, Arc<Admitted>>;

#[derive(Debug, Default)]
struct Generations {
    young: Documents,
    old: Documents,
}

impl Known {
    pub(super) fn get(&self, source: &str) -> Option<Arc<Admitted>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(source) {
            return Some(found.clone());
        }
        let (source, found) = generations.old.remove_entry(source)?;
        generations.add(source, found.clone());
        Some(found)
    }

    pub(super) fn keep(&self, source: &str, admitted: &Arc<Admitted>) {
        if source.len() <= LENGTH && admitted.visited <= NODES {
            let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            generations.add(source.into(), admitted.clone());
        }
    }
}

impl Generations {
    fn add(&mut self, source: Arc<str>, admitted: Arc<Admitted>) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(source, admitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::admit;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_forgotten() {
        let known = Known::default();
        let admitted = Arc::new(admit("{ a }").unwrap());
        known.keep("{ often }", &admitted);
        for number in 0..10 * GENERATION {
            known.keep(&number.to_string(), &admitted);
            assert!(known.get("{ often }").is_some());
        }
        assert!(known.get("0").is_none());
        let generations = known.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }

    #[test]
    fn large_documents_are_not_kept() {
        let known = Known::default();
        let long = format!("{{ a(x: \"{}\") }}", "x".repeat(LENGTH));
        let wide = format!("{{ a {{ {} }} }}", "a ".repeat(NODES));
        for source in [long, wide] {
            known.keep(&source, &Arc::new(admit(&source).unwrap()));
            assert!(known.get(&source).is_none());
        }
    }
}
