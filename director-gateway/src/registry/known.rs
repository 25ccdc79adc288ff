//! Tenants that requests have named a moment ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::tenant;

/// For how long a tenant is taken for what it was when it was read: another replica may change or remove it.
const LIFETIME: Duration = Duration::from_secs(1);
const CAPACITY: usize = 4096;

/// Tenants by external id. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Tenants>>);

#[derive(Default)]
struct Tenants {
    by_external_id: HashMap<String, (Instant, Arc<tenant::Model>)>,
    changes: u64,
}

/// How many changes of tenants had been made when one was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen(u64);

impl Known {
    /// The tenant, or what to say with [`Known::learn`] once it is read.
    pub(super) fn get(&self, external: &str, now: Instant) -> Result<Arc<tenant::Model>, Seen> {
        let tenants = self.lock();
        match tenants.by_external_id.get(external) {
            Some((read, tenant)) if now.duration_since(*read) < LIFETIME => Ok(tenant.clone()),
            _ => Err(Seen(tenants.changes)),
        }
    }

    /// Keeps a tenant that was read at `now` or later, unless tenants were changed here since.
    pub(super) fn learn(&self, tenant: Arc<tenant::Model>, seen: Seen, now: Instant) {
        let mut tenants = self.lock();
        if tenants.changes != seen.0 {
            return;
        }
        if tenants.by_external_id.len() >= CAPACITY {
            tenants
                .by_external_id
                .retain(|_, (read, _)| now.duration_since(*read) < LIFETIME);
        }
        if tenants.by_external_id.len() < CAPACITY {
            let external = tenant.external_id.clone();
            tenants.by_external_id.insert(external, (now, tenant));
        }
    }

    /// Says that tenants were changed.
    pub(super) fn forget(&self) {
        let mut tenants = self.lock();
        tenants.by_external_id.clear();
        tenants.changes += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Tenants> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(external: &str) -> Arc<tenant::Model> {
        Arc::new(tenant::Model {
            id: uuid::Uuid::nil(),
            external_id: external.to_owned(),
            name: String::new(),
            kind: String::new(),
            provider: String::new(),
        })
    }

    fn seen(known: &Known, external: &str, now: Instant) -> Seen {
        known.get(external, now).unwrap_err()
    }

    #[test]
    fn a_tenant_is_known_for_a_moment_and_until_tenants_change() {
        let (known, now) = (Known::default(), Instant::now());
        known.learn(tenant("a"), seen(&known, "a", now), now);
        assert!(known.get("a", now + LIFETIME / 2).is_ok());
        assert!(known.get("a", now + LIFETIME).is_err());
        known.forget();
        assert!(known.get("a", now).is_err());
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (known, now) = (Known::default(), Instant::now());
        let before = seen(&known, "a", now);
        known.forget();
        known.learn(tenant("a"), before, now);
        assert!(known.get("a", now).is_err());
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let (known, now) = (Known::default(), Instant::now());
        let seen = seen(&known, "", now);
        for number in 0..=CAPACITY {
            known.learn(tenant(&number.to_string()), seen, now);
        }
        assert_eq!(known.lock().by_external_id.len(), CAPACITY);
        known.learn(tenant("late"), seen, now + LIFETIME);
        assert_eq!(known.lock().by_external_id.len(), 1);
    }
}
