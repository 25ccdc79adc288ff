//! Tenants: who owns what.

use std::collections::{BTreeMap, HashMap};

use binnacle_boot::ids;
use futures::future::BoxFuture;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{LikeExpr, OnConflict};
use sea_orm::{
    Condition, ConnectionTrait, DatabaseTransaction, QueryOrder as _, QuerySelect as _, Set,
};

use super::cursor::{Page, Slice};
use super::label::{self, Labels, Owner};
use super::{Error, Registry};

/// A tenant.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The id that callers know.
    pub external_id: String,
    pub name: String,
    #[sea_orm(column_name = "type")]
    pub kind: String,
    /// The system that the tenant comes from.
    pub provider: String,
}

impl ActiveModelBehavior for ActiveModel {}

/// The table of who belongs to whom.
pub mod parent {
    use sea_orm::entity::prelude::*;

    /// A tenant that another one belongs to.
    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenant_parent")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub parent_id: Uuid,
        pub position: i32,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// A tenant as it is written.
#[derive(Clone, Debug)]
pub struct NewTenant {
    pub name: String,
    pub external_id: String,
    /// External ids.
    pub parents: Vec<String>,
    /// What kind of tenant, as in `account` or `subaccount`.
    pub kind: String,
    pub provider: String,
    /// The labels that the writer's other fields become.
    pub labels: Labels,
}

/// What becomes of a parent that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingParent {
    /// The whole change is refused.
    Refused,
    LeftOut,
}

/// What a root tenant's search looks through at most.
const MAX_ANCESTORS: usize = 1_000;

impl Registry {
    /// The tenant with an id of ours.
    pub async fn tenant_by_id(&self, id: Uuid) -> Result<Option<Model>, Error> {
        Ok(Entity::find_by_id(id).one(self.reader()).await?)
    }

    /// Tenants by name whose id, name or external id contains `search`.
    pub async fn tenants(&self, search: &str, page: &Page) -> Result<Slice<Model>, Error> {
        let rows = Entity::find()
            .filter(matching(search))
            .order_by_asc(Column::Name)
            .order_by_asc(Column::Id)
            .offset(page.offset)
            .limit(page.first.saturating_add(1))
            .all(self.reader())
            .await?;
        Ok(page.cut(rows))
    }

    /// How many tenants [`Registry::tenants`] has on all pages.
    pub async fn count_tenants(&self, search: &str) -> Result<u64, Error> {
        Ok(Entity::find()
            .filter(matching(search))
            .count(self.reader())
            .await?)
    }

    /// Ids of ours of the parents of many tenants at once.
    pub async fn parents_of(&self, ids: Vec<Uuid>) -> Result<HashMap<Uuid, Vec<Uuid>>, Error> {
        let rows = parent::Entity::find()
            .filter(parent::Column::TenantId.is_in(ids))
            .order_by_asc(parent::Column::Position)
            .all(self.reader())
            .await?;
        let mut parents: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for row in rows {
            parents
                .entry(row.tenant_id)
                .or_default()
                .push(row.parent_id);
        }
        Ok(parents)
    }

    /// The ancestors of a tenant that have no parent themselves. A tenant without parents has
    /// none.
    pub async fn root_tenants(&self, external: &str) -> Result<Vec<Model>, Error> {
        let Some(tenant) = self.tenant_by_external_id(external).await? else {
            return Ok(Vec::new());
        };
        let mut seen = BTreeMap::from([(tenant.id, false)]);
        let mut level = vec![tenant.id];
        while !level.is_empty() && seen.len() < MAX_ANCESTORS {
            let parents = self.parents_of(level.clone()).await?;
            let mut next = Vec::new();
            for id in level {
                match parents.get(&id) {
                    Some(above) => next.extend(above.iter().copied()),
                    None => drop(seen.insert(id, id != tenant.id)),
                }
            }
            next.retain(|id| seen.insert(*id, false).is_none());
            level = next;
        }
        let roots = seen
            .into_iter()
            .filter(|(_, is_root)| *is_root)
            .map(|(id, _)| id);
        Ok(Entity::find()
            .filter(Column::Id.is_in(roots.collect::<Vec<_>>()))
            .order_by_asc(Column::Id)
            .all(self.reader())
            .await?)
    }

    /// Makes the tenants, or changes those whose external id is known. Gives their ids, in order.
    pub async fn write_tenants(
        &self,
        tenants: Vec<NewTenant>,
        missing: MissingParent,
    ) -> Result<Vec<Uuid>, Error> {
        self.change_tenants(move |transaction| Box::pin(upsert_all(transaction, tenants, missing)))
            .await
    }

    /// Makes a tenant unless its external id is known.
    pub async fn ensure_tenant(&self, external: &str) -> Result<(), Error> {
        if self.tenant_by_external_id(external).await?.is_some() {
            return Ok(());
        }
        let tenant = NewTenant {
            name: external.to_owned(),
            external_id: external.to_owned(),
            parents: Vec::new(),
            kind: "account".to_owned(),
            provider: "binnacle".to_owned(),
            labels: Labels::new(),
        };
        self.write_tenants(vec![tenant], MissingParent::Refused)
            .await
            .map(drop)
    }

    /// [`Registry::write`] for what changes tenants that requests may name.
    async fn change_tenants<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, Error>>
            + Send
            + 'static,
    {
        let written = self.write(work).await;
        self.known.forget();
        written
    }

    /// Changes a tenant, and gives it back.
    pub async fn update_tenant(&self, id: Uuid, new: NewTenant) -> Result<Model, Error> {
        self.change_tenants(move |transaction| {
            Box::pin(async move {
                let found = Entity::find_by_id(id).one(transaction).await?;
                let tenant = found.ok_or(Error::not_found("tenant"))?;
                let NewTenant {
                    name,
                    external_id,
                    parents,
                    kind,
                    provider,
                    labels: _,
                } = new;
                let change = ActiveModel {
                    name: Set(name),
                    external_id: Set(external_id),
                    kind: Set(kind),
                    provider: Set(provider),
                    ..tenant.into()
                };
                let tenant = change
                    .update(transaction)
                    .await
                    .map_err(|error| Error::unique(error, Error::NotUnique { object: "tenant" }))?;
                set_parents(transaction, id, &parents, MissingParent::LeftOut).await?;
                Ok(tenant)
            })
        })
        .await
    }

    /// Removes tenants with everything in them and the tenants below them.
    pub async fn delete_tenants(&self, external_ids: Vec<String>) -> Result<(), Error> {
        self.change_tenants(|transaction| {
            Box::pin(async move {
                let mut level: Vec<Uuid> = Entity::find()
                    .filter(Column::ExternalId.is_in(external_ids))
                    .select_only()
                    .column(Column::Id)
                    .into_tuple()
                    .all(transaction)
                    .await?;
                while !level.is_empty() {
                    let below: Vec<Uuid> = parent::Entity::find()
                        .filter(parent::Column::ParentId.is_in(level.clone()))
                        .select_only()
                        .column(parent::Column::TenantId)
                        .into_tuple()
                        .all(transaction)
                        .await?;
                    Entity::delete_many()
                        .filter(Column::Id.is_in(level))
                        .exec(transaction)
                        .await?;
                    level = below;
                }
                Ok(())
            })
        })
        .await
    }

    /// Sets a label of the tenant with an id of ours.
    pub async fn set_tenant_label(&self, id: Uuid, key: String, value: Json) -> Result<(), Error> {
        self.write(move |transaction| {
            Box::pin(async move {
                if Entity::find_by_id(id).one(transaction).await?.is_none() {
                    return Err(Error::Dangling { object: "label" });
                }
                label::set_all(transaction, Owner::Tenant, id, Labels::from([(key, value)])).await
            })
        })
        .await
    }
}

async fn find_external<C: ConnectionTrait>(
    connection: &C,
    external: &str,
) -> Result<Option<Model>, Error> {
    Ok(Entity::find()
        .filter(Column::ExternalId.eq(external))
        .one(connection)
        .await?)
}

fn matching(search: &str) -> Condition {
    if search.is_empty() {
        return Condition::all();
    }
    let escaped = search
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    let pattern = || LikeExpr::new(format!("%{escaped}%")).escape('\\');
    let by_text = Condition::any()
        .add(Column::Name.like(pattern()))
        .add(Column::ExternalId.like(pattern()));
    match Uuid::parse_str(search) {
        Ok(id) => by_text.add(Column::Id.eq(id)),
        Err(_) => by_text,
    }
}

async fn upsert_all(
    transaction: &DatabaseTransaction,
    tenants: Vec<NewTenant>,
    missing: MissingParent,
) -> Result<Vec<Uuid>, Error> {
    let mut written = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let NewTenant {
            name,
            external_id,
            parents,
            kind,
            provider,
            labels,
        } = tenant;
        let row = ActiveModel {
            id: Set(ids::v7()),
            external_id: Set(external_id.clone()),
            name: Set(name),
            kind: Set(kind),
            provider: Set(provider),
        };
        let conflict = OnConflict::column(Column::ExternalId)
            .update_columns([Column::Name, Column::Kind, Column::Provider])
            .to_owned();
        let row = Entity::insert(row)
            .on_conflict(conflict)
            .exec_with_returning(transaction)
            .await?;
        label::set_all(transaction, Owner::Tenant, row.id, labels).await?;
        written.push((row.id, parents));
    }
    // Parents may stand behind their children in the list.
    for (id, parents) in &written {
        set_parents(transaction, *id, parents, missing).await?;
    }
    let mut ids = Vec::with_capacity(written.len());
    for (id, _) in written {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

async fn set_parents(
    transaction: &DatabaseTransaction,
    id: Uuid,
    parents: &[String],
    missing: MissingParent,
) -> Result<(), Error> {
    parent::Entity::delete_many()
        .filter(parent::Column::TenantId.eq(id))
        .exec(transaction)
        .await?;
    let mut above: Vec<Uuid> = Vec::new();
    for external in parents.iter().filter(|parent| !parent.is_empty()) {
        let mut found = find_external(transaction, external).await?;
        if found.is_none() && external.starts_with('0') {
            // The ids of customers are kept without leading zeros.
            found = find_external(transaction, external.trim_start_matches('0')).await?;
        }
        let Some(parent) = found else {
            if missing == MissingParent::LeftOut {
                continue;
            }
            return Err(Error::not_found("tenant"));
        };
        if !above.contains(&parent.id) && parent.id != id {
            above.push(parent.id);
        }
    }
    let rows = above
        .into_iter()
        .zip(0..)
        .map(|(parent_id, position)| parent::ActiveModel {
            tenant_id: Set(id),
            parent_id: Set(parent_id),
            position: Set(position),
        });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        parent::Entity::insert_many(rows)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}
