//! Webhook definitions, stored once by content.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use binnacle_boot::database::Database;
use binnacle_proto::common::v1;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Error;

/// Length of a definition's hash.
const HASH: usize = 32;
/// Length of a webhook's reference: its id and its definition's hash.
const REFERENCE: usize = 16 + HASH;
/// Definitions remembered; beyond that all are forgotten and looked up again.
const REMEMBERED: usize = 10_000;

/// Adds a definition, unless it is there.
const INSERT: &str =
    "INSERT INTO webhook_definition (hash, body) VALUES ($1, $2) ON CONFLICT DO NOTHING";

type Hash = [u8; HASH];

/// The table of definitions, with those known to be in it.
pub(super) struct Definitions {
    database: Database,
    known: Mutex<Known>,
}

/// Definitions, which have no id.
#[derive(Default)]
struct Known {
    definitions: HashMap<Hash, Arc<v1::Webhook>>,
    /// Of those that were hashed here. One that was only read may say more than this version knows of, and is not what
    /// looks like it.
    hashes: HashMap<Arc<v1::Webhook>, Hash>,
}

/// A definition that is not known to be in the table.
pub(super) struct New {
    hash: Hash,
    definition: Arc<v1::Webhook>,
    /// As it is stored.
    body: Vec<u8>,
}

impl From<&v1::Webhook> for New {
    fn from(definition: &v1::Webhook) -> Self {
        let body = definition.encode_to_vec();
        Self {
            hash: Sha256::digest(&body).into(),
            definition: Arc::new(definition.clone()),
            body,
        }
    }
}

impl Definitions {
    pub(super) fn new(database: Database) -> Self {
        Self {
            database,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, hash: Hash, webhook: Arc<v1::Webhook>) {
        let mut known = self.known();
        if known.definitions.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.definitions.insert(hash, webhook);
    }

    /// Stores what is new and gives a reference to each, one after the other: its id, and the hash of the rest,
    /// which is the same for all that were made alike; the webhooks stay as they are. A definition that no operation
    /// comes to use does no harm, so this has a commit of its own, once per definition.
    pub(super) async fn keep(&self, webhooks: &mut [v1::Webhook]) -> Result<Vec<u8>, Error> {
        let (references, new) = self.refer(webhooks);
        for new in new {
            self.store(&new.hash, &new.body).await?;
            self.learn(new);
        }
        Ok(references)
    }

    /// The same in a transaction; what is new is to be [learned](Definitions::learn) once that is committed.
    pub(super) fn keep_in(
        &self,
        connection: &rusqlite::Connection,
        webhooks: &mut [v1::Webhook],
    ) -> rusqlite::Result<(Vec<u8>, Vec<New>)> {
        let (references, new) = self.refer(webhooks);
        for new in &new {
            let mut insert = connection.prepare_cached(INSERT)?;
            insert.execute((&new.hash, &new.body))?;
        }
        Ok((references, new))
    }

    /// References to webhooks, and which of their definitions may not be in the table.
    fn refer(&self, webhooks: &mut [v1::Webhook]) -> (Vec<u8>, Vec<New>) {
        let mut references = Vec::with_capacity(webhooks.len() * REFERENCE);
        let mut all_new = Vec::new();
        let known = self.known();
        for webhook in webhooks {
            let id = mem::take(&mut webhook.id);
            let hash = known.hashes.get(webhook).copied().unwrap_or_else(|| {
                let new = New::from(&*webhook);
                let hash = new.hash;
                all_new.push(new);
                hash
            });
            webhook.id = id;
            let id: Uuid = webhook.id.parse().unwrap_or_default();
            references.extend_from_slice(id.as_bytes());
            references.extend_from_slice(&hash);
        }
        (references, all_new)
    }

    /// Remembers what is in the table.
    pub(super) fn learn(&self, new: New) {
        let New {
            hash, definition, ..
        } = new;
        self.remember(hash, Arc::clone(&definition));
        self.known().hashes.insert(definition, hash);
    }

    async fn store(&self, hash: &Hash, body: &[u8]) -> Result<(), sqlx::Error> {
        match &self.database {
            Database::Sqlite(sqlite) => {
                let query = sqlx::query(INSERT).bind(&hash[..]).bind(body);
                query.execute(&sqlite.write).await.map(drop)
            }
            Database::Postgres(pool) => {
                let query = sqlx::query(INSERT).bind(&hash[..]).bind(body);
                query.execute(pool).await.map(drop)
            }
        }
    }

    /// The webhooks behind references that [`Definitions::keep`] gave; `None` if a definition is missing.
    pub(super) async fn find(&self, references: &[u8]) -> Result<Option<Vec<v1::Webhook>>, Error> {
        let (references, _) = references.as_chunks::<REFERENCE>();
        let mut webhooks = Vec::with_capacity(references.len());
        for reference in references {
            let Some((id, hash)) = reference.split_first_chunk::<16>() else {
                return Ok(None);
            };
            let Ok(hash) = Hash::try_from(hash) else {
                return Ok(None);
            };
            let known = self.known().definitions.get(&hash).cloned();
            let definition = match known {
                Some(definition) => definition,
                None => match self.load(&hash).await? {
                    Some(definition) => definition,
                    None => return Ok(None),
                },
            };
            let id = Uuid::from_bytes(*id).to_string();
            webhooks.push(v1::Webhook {
                id,
                ..v1::Webhook::clone(&definition)
            });
        }
        Ok(Some(webhooks))
    }

    async fn load(&self, hash: &Hash) -> Result<Option<Arc<v1::Webhook>>, Error> {
        const SELECT: &str = "SELECT body FROM webhook_definition WHERE hash = $1";
        let body: Option<Vec<u8>> = match &self.database {
            Database::Sqlite(sqlite) => {
                sqlx::query_scalar(SELECT)
                    .bind(&hash[..])
                    .fetch_optional(&sqlite.read)
                    .await?
            }
            Database::Postgres(pool) => {
                sqlx::query_scalar(SELECT)
                    .bind(&hash[..])
                    .fetch_optional(pool)
                    .await?
            }
        };
        let webhook = body
            .and_then(|body| v1::Webhook::decode(body.as_slice()).ok())
            .map(Arc::new);
        if let Some(webhook) = &webhook {
            self.remember(*hash, Arc::clone(webhook));
        }
        Ok(webhook)
    }
}

#[cfg(test)]
mod tests {
    use binnacle_boot::Shutdown;
    use binnacle_boot::database::{DatabaseUrl, Options};
    use binnacle_test_support::scratch;

    use super::*;
    use crate::registry::{Registry, SCHEMA};

    #[tokio::test]
    async fn a_definition_that_says_more_than_is_understood_stands_for_no_other() {
        let scratch = scratch();
        let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
        let registry = Registry::open(&url, Options::default(), &Shutdown::new()).await;
        let definitions = Definitions::new(registry.unwrap().database().clone());
        let webhook = v1::Webhook {
            id: Uuid::from_u128(1).to_string(),
            url: Some("http://h".to_owned()),
            ..v1::Webhook::default()
        };
        let plain = v1::Webhook {
            id: String::new(),
            ..webhook.clone()
        };
        // Field 1000, a number.
        let newer = [plain.encode_to_vec(), vec![0xc0, 0x3e, 1]].concat();
        let hash = [7; HASH];
        definitions.store(&hash, &newer).await.unwrap();
        let reference = [Uuid::from_u128(1).as_bytes(), &hash[..]].concat();
        let expected = [webhook];
        let read = definitions.find(&reference).await.unwrap().unwrap();
        assert_eq!(read, expected, "as far as it is understood");
        for _ in 0..2 {
            let mut webhooks = expected.clone();
            let kept = definitions.keep(&mut webhooks).await.unwrap();
            assert_ne!(kept, reference);
            assert_eq!(webhooks, expected, "stays as it is");
            let found = definitions.find(&kept).await.unwrap().unwrap();
            assert_eq!(found, webhooks);
        }
    }

    #[tokio::test]
    async fn a_definition_whose_transaction_is_rolled_back_is_stored_the_next_time() {
        let scratch = scratch();
        let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
        let registry = Registry::open(&url, Options::default(), &Shutdown::new()).await;
        let database = registry.unwrap().database().clone();
        let definitions = Definitions::new(database.clone());
        let mut webhooks = [v1::Webhook {
            id: Uuid::from_u128(1).to_string(),
            ..v1::Webhook::default()
        }];
        let file = scratch.path().join(format!("{SCHEMA}.db"));
        let connection = rusqlite::Connection::open(file).unwrap();
        for (is_committed, is_found) in [(false, false), (true, true)] {
            let transaction = connection.unchecked_transaction().unwrap();
            let kept = definitions.keep_in(&transaction, &mut webhooks);
            let (references, new) = kept.unwrap();
            assert_eq!(new.len(), 1);
            if is_committed {
                transaction.commit().unwrap();
            } else {
                transaction.rollback().unwrap();
            }
            let another = Definitions::new(database.clone());
            let found = another.find(&references).await.unwrap();
            assert_eq!(found.is_some(), is_found);
        }
    }
}
