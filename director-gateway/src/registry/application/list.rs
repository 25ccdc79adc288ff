//! Finding applications.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Asterisk, SelectStatement};
use sea_orm::{
    DatabaseBackend, ExprTrait as _, Order, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::{Column, Entity, Model};
use crate::registry::cursor::{Page, Slice};
use crate::registry::filter::{self, Test};
use crate::registry::label::Owner;
use crate::registry::whole::{Whole, With};
use crate::registry::{Error, Registry};

/// The column of a page that has the number of all applications.
const COUNT: &str = "total_count";

/// Which applications of a tenant are listed.
#[derive(Clone, Debug)]
pub struct Listing {
    pub tenant: Uuid,
    pub local_tenant_id: Option<String>,
    pub tests: Vec<Test>,
}

impl Registry {
    /// Applications by id, and how many there are on all pages, if that is wanted. One statement, or two when
    /// the page has nothing.
    pub async fn applications(
        &self,
        listing: &Listing,
        page: &Page,
        with: With,
        is_counted: bool,
    ) -> Result<(Slice<Whole>, Option<u64>), Error> {
        let rows = self
            .reader()
            .query_all(&self.page(listing, page, with, is_counted))
            .await?;
        let count = match rows.first() {
            _ if !is_counted => None,
            Some(row) => u64::try_from(row.try_get::<i64>("", COUNT)?).ok(),
            None => Some(self.count_applications(listing).await?),
        };
        let rows: Result<_, DbErr> = rows.iter().map(|row| with.read(row)).collect();
        Ok((page.cut(rows?), count))
    }

    fn page(
        &self,
        listing: &Listing,
        page: &Page,
        with: With,
        is_counted: bool,
    ) -> SelectStatement {
        let rows = self
            .select(listing)
            .order_by_asc(Column::Id)
            .offset(page.offset)
            .limit(page.first.saturating_add(1))
            .into_query();
        // Within a statement of its own, because what is left out has no need of the other columns.
        let mut whole = SelectStatement::new();
        whole
            .column((Entity, Asterisk))
            .from_subquery(rows, Entity)
            .order_by((Entity, Column::Id), Order::Asc);
        let backend = self.reader().get_database_backend();
        for (expression, name) in with.columns(backend, Owner::Application) {
            whole.expr_as(Expr::cust(expression), name);
        }
        if is_counted {
            let mut count = self.select(listing).into_query();
            count.clear_selects().expr(Expr::cust("COUNT(*)"));
            whole.expr_as(Expr::from(count), COUNT);
        }
        whole
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
        let mut tenant = Expr::val(listing.tenant);
        if backend == DatabaseBackend::Sqlite {
            // An analysed table has the statement prepared again for every value that it is bound to directly.
            tenant = Expr::cust_with_expr("+?", tenant);
        }
        let mut select = Entity::find().filter(Expr::col((Entity, Column::TenantId)).eq(tenant));
        if let Some(local) = &listing.local_tenant_id {
            select = select.filter(Column::LocalTenantId.eq(local.as_str()));
        }
        for test in &listing.tests {
            select = select.filter(filter::condition(backend, Owner::Application, test));
        }
        select
    }
}
