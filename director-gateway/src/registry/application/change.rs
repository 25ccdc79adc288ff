//! Changing applications, synchronously.

use std::sync::Arc;

use binnacle_boot::{batch, clock, ids};
use sea_orm::entity::prelude::*;
use sea_orm::{DatabaseTransaction, Set};

use super::many::{Failure, New, Removal};
use super::{ActiveModel, Entity, Model, OBJECT, bump, locked, normalised};
use crate::registry::filter::SCENARIOS;
use crate::registry::label::{self, Labels, Owner};
use crate::registry::webhook::{self, NewWebhook};
use crate::registry::{Error, Registry};

/// Where Compass's status of an application begins.
const INITIAL: &str = "INITIAL";
/// Characters that the database keeps of texts that no rule of the input limits.
const MAX_TEXT: usize = 256;

/// An application to be made.
#[derive(Clone, Debug)]
pub struct NewApplication {
    pub name: String,
    pub provider_name: Option<String>,
    pub description: Option<String>,
    pub health_check_url: Option<String>,
    pub base_url: Option<String>,
    pub application_namespace: Option<String>,
    pub integration_system_id: Option<String>,
    pub local_tenant_id: Option<String>,
    pub status_condition: Option<String>,
    pub application_template_id: Option<Uuid>,
    pub labels: Labels,
    pub webhooks: Vec<NewWebhook>,
}

/// What changes of an application; `None` stays as it is, but for the status.
#[derive(Clone, Debug)]
pub struct Change {
    pub provider_name: Option<String>,
    pub description: Option<String>,
    pub health_check_url: Option<String>,
    pub base_url: Option<String>,
    pub application_namespace: Option<String>,
    pub integration_system_id: Option<String>,
    pub local_tenant_id: Option<String>,
    pub status_condition: Option<String>,
}

impl Registry {
    /// Makes an application, ready for use.
    pub async fn register(&self, tenant: Uuid, new: NewApplication) -> Result<Model, Error> {
        let draft = Draft::new(tenant, new)?;
        if let Some(new) = New::of(&draft) {
            match self.registrations.submit(new).await {
                Ok(true) => return Ok(draft.application),
                Ok(false) => return Err(Error::NotUniqueName { object: OBJECT }),
                Err(error) => refused(error)?,
            }
        }
        self.write(move |transaction| Box::pin(draft.insert(transaction)))
            .await
    }

    /// Changes an application.
    pub async fn update(&self, tenant: Uuid, id: Uuid, change: Change) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                let application = idle(transaction, tenant, id).await?;
                ensure_no_integration_system(change.integration_system_id.as_deref())?;
                let name = application.normalised_name.clone();
                let changed = apply(application, change)?.update(transaction).await?;
                let labels = Labels::from([("name".to_owned(), Json::from(name))]);
                label::set_all(transaction, Owner::Application, id, labels).await?;
                Ok(changed)
            })
        })
        .await
    }

    /// Removes an application, and gives it as it was.
    pub async fn unregister(&self, tenant: Uuid, id: Uuid) -> Result<Model, Error> {
        match self.removals.submit(Removal { tenant, id }).await {
            Ok(Some(removed)) => return Ok(*removed),
            Ok(None) => {}
            Err(error) => refused(error)?,
        }
        self.write(move |transaction| {
            Box::pin(async move {
                let application = idle(transaction, tenant, id).await?;
                Entity::delete_by_id(id).exec(transaction).await?;
                Ok(application)
            })
        })
        .await
    }

    /// Takes an application back to its first status.
    pub async fn unpair(&self, tenant: Uuid, id: Uuid) -> Result<Model, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                let application = idle(transaction, tenant, id).await?;
                let revision = application.revision + 1;
                let change = ActiveModel {
                    status_condition: Set(INITIAL.to_owned()),
                    status_timestamp: Set(clock::now()),
                    revision: Set(revision),
                    ..application.into()
                };
                Ok(change.update(transaction).await?)
            })
        })
        .await
    }

    /// Sets a label of an application.
    pub async fn set_application_label(
        &self,
        tenant: Uuid,
        id: Uuid,
        key: String,
        value: Json,
    ) -> Result<(), Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                if locked(transaction, tenant, id).await?.is_none() {
                    return Err(Error::not_found_id(OBJECT, id.to_string()));
                }
                refuse_scenarios(&key)?;
                let labels = Labels::from([(key, value)]);
                label::set_all(transaction, Owner::Application, id, labels).await?;
                bump(transaction, id).await
            })
        })
        .await
    }

    /// Removes a label of an application, and gives its value.
    pub async fn delete_application_label(
        &self,
        tenant: Uuid,
        id: Uuid,
        key: String,
    ) -> Result<Json, Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                if locked(transaction, tenant, id).await?.is_none() {
                    let text = format!("application with ID {id} doesn't exist");
                    return Err(Error::Refused(text));
                }
                let value = label::remove(transaction, Owner::Application, id, &key).await?;
                bump(transaction, id).await?;
                value.ok_or(Error::not_found("applicationLabel"))
            })
        })
        .await
    }
}

/// A batch that the database refuses is nobody's fault in particular: everybody tries alone.
fn refused(error: batch::Error<Failure>) -> Result<(), Error> {
    match error {
        batch::Error::Commit(failure) if failure.is_refusal() => Ok(()),
        error => Err(Error::Failed(Arc::new(error))),
    }
}

/// An application with all that belongs to it, before it is in the database.
#[derive(Clone, Debug)]
pub struct Draft {
    pub application: Model,
    pub webhooks: Vec<webhook::Model>,
    pub(super) labels: Labels,
}

impl Draft {
    /// Checks what can be checked without the database and makes the ids.
    pub fn new(tenant: Uuid, new: NewApplication) -> Result<Self, Error> {
        let NewApplication {
            name,
            provider_name,
            description,
            health_check_url,
            base_url,
            application_namespace,
            integration_system_id,
            local_tenant_id,
            status_condition,
            application_template_id,
            mut labels,
            webhooks,
        } = new;
        ensure_no_integration_system(integration_system_id.as_deref())?;
        let now = clock::now();
        let id = ids::v7();
        let application = Model {
            id,
            tenant_id: tenant,
            normalised_name: normalised(&name),
            name,
            system_number: None,
            local_tenant_id: some(kept("localTenantID", local_tenant_id)?),
            base_url: some(base_url),
            provider_name: some(provider_name),
            description: some(description),
            integration_system_id: None,
            application_template_id,
            health_check_url: some(health_check_url),
            application_namespace: some(kept("applicationNamespace", application_namespace)?),
            system_status: None,
            ready: true,
            created_at: now,
            updated_at: None,
            deleted_at: None,
            error: None,
            status_condition: status_condition.unwrap_or_else(|| INITIAL.to_owned()),
            status_timestamp: now,
            operation_id: None,
            operation_type: None,
            revision: 1,
        };
        let name = application.normalised_name.clone();
        labels.insert("name".to_owned(), Json::from(name));
        let owner = webhook::Owner::Application(id);
        let webhooks = webhooks
            .into_iter()
            .map(|new| new.model(owner, now))
            .collect();
        Ok(Self {
            application,
            webhooks,
            labels,
        })
    }

    /// Marks the application as being made by an operation. It was never idle, so it counts as
    /// updated, as in Compass.
    pub fn mark(&mut self, operation_id: Uuid) {
        let now = self.application.created_at;
        self.application.ready = false;
        self.application.updated_at = Some(now);
        "CREATING".clone_into(&mut self.application.status_condition);
        self.application.operation_type = Some("Create".to_owned());
        self.application.operation_id = Some(operation_id);
    }

    /// Makes the application within `transaction`.
    pub async fn insert(self, transaction: &DatabaseTransaction) -> Result<Model, Error> {
        let Self {
            application,
            webhooks,
            labels,
        } = self;
        let id = application.id;
        let taken = Error::NotUniqueName { object: OBJECT };
        Entity::insert(ActiveModel::from(application.clone()))
            .exec_without_returning(transaction)
            .await
            .map_err(|error| Error::unique(error, taken))?;
        for key in labels.keys() {
            refuse_scenarios(key)?;
        }
        let doing = format!("while creating multiple labels for Application with id {id}");
        label::set_all(transaction, Owner::Application, id, labels)
            .await
            .map_err(|error| error.during(&doing))?;
        webhook::insert_many(transaction, webhooks).await?;
        Ok(application)
    }
}

fn apply(application: Model, change: Change) -> Result<ActiveModel, Error> {
    let Change {
        provider_name,
        description,
        health_check_url,
        base_url,
        application_namespace,
        integration_system_id: _,
        local_tenant_id,
        status_condition,
    } = change;
    let now = clock::now();
    let revision = application.revision + 1;
    let mut row = ActiveModel::from(application);
    let texts = [
        (&mut row.provider_name, provider_name),
        (&mut row.description, description),
        (&mut row.health_check_url, health_check_url),
        (&mut row.base_url, base_url),
        (
            &mut row.application_namespace,
            kept("applicationNamespace", application_namespace)?,
        ),
        (
            &mut row.local_tenant_id,
            kept("localTenantID", local_tenant_id)?,
        ),
    ];
    for (column, text) in texts {
        if text.is_some() {
            *column = Set(some(text));
        }
    }
    row.status_condition = Set(status_condition.unwrap_or_else(|| INITIAL.to_owned()));
    row.status_timestamp = Set(now);
    row.updated_at = Set(Some(now));
    row.operation_type = Set(None);
    row.revision = Set(revision);
    Ok(row)
}

/// The application, locked, unless an operation is in progress.
async fn idle(transaction: &DatabaseTransaction, tenant: Uuid, id: Uuid) -> Result<Model, Error> {
    let found = locked(transaction, tenant, id).await?;
    let application = found.ok_or(Error::not_found(OBJECT))?;
    application.ensure_idle()?;
    Ok(application)
}

/// There are no integration systems, so whatever is referred to is missing.
fn ensure_no_integration_system(id: Option<&str>) -> Result<(), Error> {
    let Some(id) = id else {
        return Ok(());
    };
    if Uuid::parse_str(id).is_err() {
        return Err(Error::InvalidData(
            "integrationSystemID is not a UUID".to_owned(),
        ));
    }
    Err(Error::not_found_id("integrationSystem", id))
}

fn refuse_scenarios(key: &str) -> Result<(), Error> {
    if key == SCENARIOS {
        let text = format!("label with key {SCENARIOS} cannot be set explicitly");
        return Err(Error::Refused(text));
    }
    Ok(())
}

/// An empty text is no text.
pub(crate) fn some(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn kept(field: &str, text: Option<String>) -> Result<Option<String>, Error> {
    if text
        .as_ref()
        .is_some_and(|text| text.chars().count() > MAX_TEXT)
    {
        let reason = format!("{field} must be no more than {MAX_TEXT} characters");
        return Err(Error::InvalidData(reason));
    }
    Ok(text)
}
