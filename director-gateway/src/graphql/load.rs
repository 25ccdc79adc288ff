//! Reads what belongs to many objects of one answer at once.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use binnacle_boot::Shutdown;
use uuid::Uuid;

use crate::registry::label::{Labels, Owner};
use crate::registry::whole::{WholeTemplate, With};
use crate::registry::{Error, Registry, webhook};

/// Labels of an object. An object without labels has none in the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LabelsOf {
    Tenant(Uuid),
    Application(Uuid),
    Template(Uuid),
}

/// Webhooks of an object's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WebhooksOf {
    Application(Uuid),
    Template(Uuid),
}

/// A template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TemplateOf(pub Uuid);

/// The ids of a tenant's parents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ParentsOf(pub Uuid);

/// The one loader of the schema; it forgets at once what it has given out.
pub(crate) type Loads = DataLoader<RegistryLoader>;

/// Loads from the registry.
pub(crate) struct RegistryLoader(Registry);

/// Makes the loader; `shutdown` runs its batches.
pub(crate) fn loader(registry: Registry, shutdown: Shutdown) -> Loads {
    DataLoader::new(RegistryLoader(registry), move |batch| shutdown.spawn(batch))
}

impl Loader<LabelsOf> for RegistryLoader {
    type Value = Labels;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[LabelsOf]) -> Result<HashMap<LabelsOf, Labels>, Arc<Error>> {
        let ids = |pick: fn(&LabelsOf) -> Option<Uuid>| keys.iter().filter_map(pick).collect();
        let tenants: Vec<_> = ids(|key| match key {
            LabelsOf::Tenant(id) => Some(*id),
            _ => None,
        });
        let applications: Vec<_> = ids(|key| match key {
            LabelsOf::Application(id) => Some(*id),
            _ => None,
        });
        let templates: Vec<_> = ids(|key| match key {
            LabelsOf::Template(id) => Some(*id),
            _ => None,
        });
        let mut found = HashMap::new();
        for (owner, ids, key) in [
            (
                Owner::Tenant,
                tenants,
                LabelsOf::Tenant as fn(Uuid) -> LabelsOf,
            ),
            (Owner::Application, applications, LabelsOf::Application),
            (Owner::Template, templates, LabelsOf::Template),
        ] {
            if !ids.is_empty() {
                let labels = self.0.labels_of(owner, ids).await?;
                found.extend(labels.into_iter().map(|(id, labels)| (key(id), labels)));
            }
        }
        Ok(found)
    }
}

impl Loader<WebhooksOf> for RegistryLoader {
    type Value = Vec<webhook::Model>;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[WebhooksOf],
    ) -> Result<HashMap<WebhooksOf, Vec<webhook::Model>>, Arc<Error>> {
        let mut applications = Vec::new();
        let mut templates = Vec::new();
        for key in keys {
            match key {
                WebhooksOf::Application(id) => applications.push(*id),
                WebhooksOf::Template(id) => templates.push(*id),
            }
        }
        let mut found = HashMap::new();
        if !applications.is_empty() {
            let webhooks = self.0.webhooks_of_applications(applications).await?;
            found.extend(
                webhooks
                    .into_iter()
                    .map(|(id, all)| (WebhooksOf::Application(id), all)),
            );
        }
        if !templates.is_empty() {
            let webhooks = self.0.webhooks_of_templates(templates).await?;
            found.extend(
                webhooks
                    .into_iter()
                    .map(|(id, all)| (WebhooksOf::Template(id), all)),
            );
        }
        Ok(found)
    }
}

impl Loader<TemplateOf> for RegistryLoader {
    type Value = WholeTemplate;
    type Error = Arc<Error>;

    async fn load(
        &self,
        keys: &[TemplateOf],
    ) -> Result<HashMap<TemplateOf, WholeTemplate>, Arc<Error>> {
        let ids = keys.iter().map(|key| key.0).collect();
        let templates = self.0.templates_by_id(ids, With::default()).await?;
        Ok(templates
            .into_iter()
            .map(|(id, template)| (TemplateOf(id), template))
            .collect())
    }
}

impl Loader<ParentsOf> for RegistryLoader {
    type Value = Vec<Uuid>;
    type Error = Arc<Error>;

    async fn load(&self, keys: &[ParentsOf]) -> Result<HashMap<ParentsOf, Vec<Uuid>>, Arc<Error>> {
        let parents = self
            .0
            .parents_of(keys.iter().map(|key| key.0).collect())
            .await?;
        Ok(parents
            .into_iter()
            .map(|(id, parents)| (ParentsOf(id), parents))
            .collect())
    }
}
