//! Webhook definitions, stored once by content.

use std::{
    collections::HashMap,
    fmt::Write as _,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use binnacle_boot::database::Database;
use binnacle_domain::webhook::Webhook;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Error, stored};

/// Definitions remembered; beyond that all are forgotten and looked up again.
const REMEMBERED: usize = 10_000;

/// A webhook of an operation: its id, and the hash of the rest, which is the same for all that were made alike.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Reference {
    id: Uuid,
    hash: String,
}

/// The table of definitions, with those known to be in it.
#[derive(Debug)]
pub(super) struct Definitions {
    database: Database,
    known: Mutex<Known>,
}

/// Definitions, whose ids are nil.
#[derive(Debug, Default)]
struct Known {
    definitions: HashMap<String, Arc<Webhook>>,
    /// Of those that were hashed here. One that was only read may say more than this version knows of, and is not what
    /// looks like it.
    hashes: HashMap<Arc<Webhook>, String>,
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

    fn remember(&self, hash: String, webhook: Arc<Webhook>) {
        let mut known = self.known();
        if known.definitions.len() >= REMEMBERED {
            *known = Known::default();
        }
        known.definitions.insert(hash, webhook);
    }

    /// Stores what is new and gives the hashes; the webhooks stay as they are. A definition that no operation comes
    /// to use does no harm, so this has a commit of its own, once per definition.
    pub(super) async fn keep(&self, webhooks: &mut [Webhook]) -> Result<Vec<Reference>, Error> {
        let mut references = Vec::with_capacity(webhooks.len());
        for webhook in webhooks {
            let id = mem::take(&mut webhook.id);
            let hash = self.hash(webhook).await;
            webhook.id = id;
            references.push(Reference { id, hash: hash? });
        }
        Ok(references)
    }

    /// The hash of a definition, which is in the table afterwards.
    async fn hash(&self, definition: &Webhook) -> Result<String, Error> {
        let known = self.known().hashes.get(definition).cloned();
        if let Some(hash) = known {
            return Ok(hash);
        }
        let text = stored::json(definition);
        let hash = digest(&text);
        let is_known = self.known().definitions.contains_key(&hash);
        if !is_known {
            self.insert(&hash, &text).await?;
        }
        let definition = Arc::new(definition.clone());
        self.remember(hash.clone(), Arc::clone(&definition));
        self.known().hashes.insert(definition, hash.clone());
        Ok(hash)
    }

    /// The webhooks of operation `id` behind references that [`Definitions::keep`] gave.
    pub(super) async fn find(
        &self,
        id: Uuid,
        references: &[Reference],
    ) -> Result<Vec<Webhook>, Error> {
        let mut webhooks = Vec::with_capacity(references.len());
        for reference in references {
            let known = self
                .known()
                .definitions
                .get(&reference.hash)
                .map(|webhook| Webhook::clone(webhook));
            let definition = match known {
                Some(definition) => definition,
                None => self.load(id, &reference.hash).await?,
            };
            webhooks.push(Webhook {
                id: reference.id,
                ..definition
            });
        }
        Ok(webhooks)
    }

    async fn load(&self, id: Uuid, hash: &str) -> Result<Webhook, Error> {
        const SELECT: &str = "SELECT definition FROM webhook_definition WHERE hash = $1";
        let found: Option<String> = match &self.database {
            Database::Sqlite(sqlite) => {
                let query = sqlx::query_scalar(SELECT).bind(hash);
                query.fetch_optional(&sqlite.read).await?
            }
            Database::Postgres(pool) => {
                let query = sqlx::query_scalar(SELECT).bind(hash);
                query.fetch_optional(pool).await?
            }
        };
        let definition = found.ok_or_else(|| Error::Unreadable {
            id,
            reason: format!("the webhook definition {hash} is missing"),
        })?;
        let webhook: Webhook = stored::parse(id, &definition)?;
        self.remember(hash.to_owned(), Arc::new(webhook.clone()));
        Ok(webhook)
    }

    async fn insert(&self, hash: &str, definition: &str) -> Result<(), sqlx::Error> {
        const INSERT: &str = "INSERT INTO webhook_definition (hash, definition) VALUES ($1, $2) \
             ON CONFLICT DO NOTHING";
        match &self.database {
            Database::Sqlite(sqlite) => {
                let query = sqlx::query(INSERT).bind(hash).bind(definition);
                query.execute(&sqlite.write).await.map(drop)
            }
            Database::Postgres(pool) => {
                let query = sqlx::query(INSERT).bind(hash).bind(definition);
                query.execute(pool).await.map(drop)
            }
        }
    }
}

fn digest(definition: &str) -> String {
    let digest = Sha256::digest(definition);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing into a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use binnacle_boot::database::{DatabaseUrl, Options};
    use binnacle_test_support::scratch;

    use super::*;
    use crate::store::{MIGRATIONS, SCHEMA};

    #[tokio::test]
    async fn a_definition_that_says_more_than_is_understood_stands_for_no_other() {
        let scratch = scratch();
        let url = DatabaseUrl::Sqlite(scratch.path().to_owned());
        let database = Database::open(&url, SCHEMA, Options::default());
        let database = database.await.unwrap();
        database.migrate(SCHEMA, MIGRATIONS).await.unwrap();
        let definitions = Definitions::new(database);
        let plain =
            r#"{"id":"00000000-0000-0000-0000-000000000000","type":"REGISTER_APPLICATION"}"#;
        let mut webhook: Webhook = serde_json::from_str(plain).unwrap();
        webhook.id = Uuid::from_u128(1);
        let newer = plain.replace('{', r#"{"since_the_next_version":true,"#);
        definitions.insert("newer", &newer).await.unwrap();
        let reference = Reference {
            id: webhook.id,
            hash: "newer".to_owned(),
        };
        let expected = [webhook];
        let read = definitions.find(Uuid::nil(), &[reference]).await.unwrap();
        assert_eq!(read, expected, "as far as it is understood");
        for _ in 0..2 {
            let mut webhooks = expected.clone();
            let kept = definitions.keep(&mut webhooks).await.unwrap();
            assert_ne!(kept[0].hash, "newer");
            assert_eq!(webhooks, expected, "stays as it is");
            assert_eq!(
                definitions.find(Uuid::nil(), &kept).await.unwrap(),
                webhooks
            );
        }
    }
}
