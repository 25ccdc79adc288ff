//! Finding applications.

use sea_orm::entity::prelude::*;
use sea_orm::{QueryOrder as _, QuerySelect as _};

use super::{Column, Entity, Model};
use crate::registry::cursor::{Page, Slice};
use crate::registry::filter::{self, Test};
use crate::registry::label::Owner;
use crate::registry::{Error, Registry};

/// Which applications of a tenant are listed.
#[derive(Clone, Debug)]
pub struct Listing {
    pub tenant: Uuid,
    pub local_tenant_id: Option<String>,
    pub tests: Vec<Test>,
}

impl Registry {
    /// Applications by id.
    pub async fn applications(
        &self,
        listing: &Listing,
        page: &Page,
    ) -> Result<Slice<Model>, Error> {
        let rows = self
            .select(listing)
            .order_by_asc(Column::Id)
            .offset(page.offset)
            .limit(page.first.saturating_add(1))
            .all(self.reader())
            .await?;
        Ok(page.cut(rows))
    }

    /// How many applications [`Registry::applications`] has on all pages.
    pub async fn count_applications(&self, listing: &Listing) -> Result<u64, Error> {
        Ok(self.select(listing).count(self.reader()).await?)
    }

    /// The application with a number that its system gave it.
    pub async fn application_by_system_number(
        &self,
        tenant: Uuid,
        number: &str,
    ) -> Result<Option<Model>, Error> {
        Ok(Entity::find()
            .filter(Column::TenantId.eq(tenant))
            .filter(Column::SystemNumber.eq(number))
            .order_by_asc(Column::Id)
            .one(self.reader())
            .await?)
    }

    /// The application that was made from a template for one of its system's own tenants.
    pub async fn application_by_local_tenant_and_template(
        &self,
        tenant: Uuid,
        local_tenant_id: &str,
        template: Uuid,
    ) -> Result<Option<Model>, Error> {
        Ok(Entity::find()
            .filter(Column::TenantId.eq(tenant))
            .filter(Column::LocalTenantId.eq(local_tenant_id))
            .filter(Column::ApplicationTemplateId.eq(template))
            .order_by_asc(Column::Id)
            .one(self.reader())
            .await?)
    }

    fn select(&self, listing: &Listing) -> Select<Entity> {
        let backend = self.reader().get_database_backend();
        let mut select = Entity::find().filter(Column::TenantId.eq(listing.tenant));
        if let Some(local) = &listing.local_tenant_id {
            select = select.filter(Column::LocalTenantId.eq(local.as_str()));
        }
        for test in &listing.tests {
            select = select.filter(filter::condition(backend, Owner::Application, test));
        }
        select
    }
}
