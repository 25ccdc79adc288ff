//! Templates that have been parsed, the last ones kept.
//!
//! A webhook's templates are rendered for every operation on every application that has them, and
//! say the same each time. Parsing depends on nothing but the text, so nobody can tell a template
//! that was kept from one that was parsed again.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::parse::{self, Templates};
use super::{Error, functions, work};

/// Bytes of source that are kept twice over; what is parsed of it takes some tens of times as much.
const MAX_BYTES: usize = 128 << 10;

/// A parsed template.
pub(super) struct Template {
    pub source: Arc<str>,
    pub templates: Templates,
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| Mutex::new(Kept::new(MAX_BYTES)));

/// The template that `source` is.
pub(super) fn template(source: &str) -> Result<Arc<Template>, Error> {
    if let Some(known) = kept(|kept| kept.find(source)) {
        return Ok(known);
    }
    let template = Arc::new(Template::parse(source)?);
    kept(|kept| kept.keep(template.clone()));
    Ok(template)
}

fn kept<T>(ask: impl FnOnce(&mut Kept) -> T) -> T {
    ask(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Template {
    fn parse(source: &str) -> Result<Self, Error> {
        if source.len() > work::MAX_SOURCE {
            let limit = work::MAX_SOURCE;
            return Err(Error::Parse(format!(
                "template: :1: longer than {limit} bytes"
            )));
        }
        let is_function = |name: &str| functions::find(name).is_some();
        let templates = parse::parse(source, &is_function).map_err(Error::Parse)?;
        Ok(Self {
            source: source.into(),
            templates,
        })
    }
}

/// Templates by their sources in two generations: when the younger is full, it becomes the older,
/// and what nobody has asked for since the last time goes.
struct Kept {
    max_bytes: usize,
    bytes: usize,
    young: HashMap<Arc<str>, Arc<Template>>,
    old: HashMap<Arc<str>, Arc<Template>>,
}

impl Kept {
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn find(&mut self, source: &str) -> Option<Arc<Template>> {
        if let Some(template) = self.young.get(source) {
            return Some(template.clone());
        }
        let template = self.old.remove(source)?;
        self.keep(template.clone());
        Some(template)
    }

    fn keep(&mut self, template: Arc<Template>) {
        let source = template.source.clone();
        if self.bytes + source.len() > self.max_bytes {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
        let length = source.len();
        if self.young.insert(source, template).is_none() {
            self.bytes += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parsed_once() {
        let source = "{{.Body.error}} as nobody else writes it";
        let first = template(source).unwrap();
        assert!(Arc::ptr_eq(&first, &template(source).unwrap()));
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_bounded() {
        let mut kept = Kept::new(1000);
        let parse = |source: &str| Arc::new(Template::parse(source).unwrap());
        kept.keep(parse("asked for"));
        for n in 0..1000 {
            kept.keep(parse(&format!("number {n}")));
            assert!(kept.find("asked for").is_some());
            let bytes = |templates: &HashMap<Arc<str>, _>| -> usize {
                templates.keys().map(|source| source.len()).sum()
            };
            assert_eq!(bytes(&kept.young), kept.bytes);
            assert!(kept.bytes <= 1000 && bytes(&kept.old) <= 1000);
        }
        assert!(kept.find("number 0").is_none());
    }
}
