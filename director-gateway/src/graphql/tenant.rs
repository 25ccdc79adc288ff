//! Tenants: who owns what.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use serde_json::Value as Json;
use uuid::Uuid;

use super::input::parse_id;
use super::label::{self, Label};
use super::load::{LabelsOf, Loads, ParentsOf};
use super::page::{self, PageInfo, Parts, Wanted};
use super::registry_of;
use super::scalar::{Any, Labels, PageCursor};
use crate::registry::Error;
use crate::registry::cursor::{Page, Slice};
use crate::registry::label::Labels as LabelMap;
use crate::registry::tenant::{MissingParent, Model, NewTenant};

/// What errors call a tenant.
const OBJECT: &str = "tenant";
/// Characters of the texts about a tenant.
const MAX_TEXT: usize = 255;

/// The kind of tenant whose id may be written with leading zeros.
const CUSTOMER: &str = "customer";

/// The zeros of a UUID belong to it, and so does one that stands alone.
fn without_leading_zeros(id: String) -> String {
    let trimmed = id.trim_start_matches('0');
    if trimmed.is_empty() || Uuid::parse_str(&id).is_ok() {
        return id;
    }
    trimmed.to_owned()
}

/// Who owns applications.
pub struct Tenant(Model);

/// A page of tenants.
#[derive(SimpleObject)]
pub struct TenantPage {
    pub data: Vec<Tenant>,
    pub page_info: PageInfo,
    pub total_count: u64,
}

/// A tenant to be written.
#[derive(Clone, Debug, InputObject)]
pub struct BusinessTenantMappingInput {
    pub name: String,
    /// The id that callers know.
    pub external_tenant: String,
    /// External ids.
    pub parents: Option<Vec<Option<String>>>,
    pub subdomain: Option<String>,
    pub region: Option<String>,
    /// What kind of tenant, as in `account` or `subaccount`.
    #[graphql(name = "type")]
    pub kind: String,
    /// The system that the tenant comes from.
    pub provider: String,
    pub license_type: Option<String>,
    pub customer_id: Option<String>,
    pub cost_object_id: Option<String>,
    pub cost_object_type: Option<String>,
}

impl TryFrom<BusinessTenantMappingInput> for NewTenant {
    type Error = Error;

    fn try_from(input: BusinessTenantMappingInput) -> Result<Self, Error> {
        let BusinessTenantMappingInput {
            name,
            external_tenant,
            parents,
            subdomain,
            region,
            kind,
            provider,
            license_type,
            customer_id,
            cost_object_id,
            cost_object_type,
        } = input;
        for (field, text) in [
            ("name", &name),
            ("externalTenant", &external_tenant),
            ("type", &kind),
            ("provider", &provider),
        ] {
            if text.chars().count() > MAX_TEXT {
                let reason = format!("{field} must be no more than {MAX_TEXT} characters");
                return Err(Error::InvalidData(reason));
            }
        }
        if external_tenant.is_empty() {
            return Err(Error::InvalidData(
                "externalTenant cannot be blank".to_owned(),
            ));
        }
        let external_tenant = match kind.as_str() {
            CUSTOMER => without_leading_zeros(external_tenant),
            _ => external_tenant,
        };
        let labels = [
            ("subdomain", subdomain),
            ("region", region),
            ("licensetype", license_type),
            ("customerId", customer_id),
            ("costObjectId", cost_object_id),
            ("costObjectType", cost_object_type),
        ];
        let labels: LabelMap = labels
            .into_iter()
            .filter_map(|(key, text)| Some((key, text.filter(|text| !text.is_empty())?)))
            .map(|(key, text)| (key.to_owned(), Json::from(text)))
            .collect();
        let parents = parents.unwrap_or_default().into_iter().flatten().collect();
        Ok(Self {
            name,
            external_id: external_tenant,
            parents,
            kind,
            provider,
            labels,
        })
    }
}

#[Object]
impl Tenant {
    /// The id that callers know.
    async fn id(&self) -> ID {
        ID::from(&self.0.external_id)
    }

    #[graphql(name = "internalID")]
    async fn internal_id(&self) -> ID {
        self.0.id.into()
    }

    async fn name(&self) -> Option<&str> {
        Some(&self.0.name)
    }

    /// What kind of tenant, as in `account` or `subaccount`.
    #[graphql(name = "type")]
    async fn kind(&self) -> Option<&str> {
        Some(&self.0.kind)
    }

    /// The internal ids of the tenants that it belongs to.
    async fn parents(&self, ctx: &Context<'_>) -> Result<Option<Vec<Option<ID>>>, Arc<Error>> {
        let parents = ctx
            .data_unchecked::<Loads>()
            .load_one(ParentsOf(self.0.id))
            .await?;
        let parents = parents.unwrap_or_default();
        Ok(Some(
            parents.into_iter().map(|id| Some(id.into())).collect(),
        ))
    }

    /// Always null: nobody initializes tenants.
    async fn initialized(&self) -> Option<bool> {
        None
    }

    /// Its labels, or the one under `key`.
    async fn labels(
        &self,
        ctx: &Context<'_>,
        key: Option<String>,
    ) -> Result<Option<Labels>, Arc<Error>> {
        let of = LabelsOf::Tenant(self.0.id);
        let labels = ctx
            .data_unchecked::<Loads>()
            .load_one(of)
            .await?
            .unwrap_or_default();
        Ok(Some(Labels::of(&labels, key.as_deref())))
    }

    /// The system that the tenant comes from.
    async fn provider(&self) -> &str {
        &self.0.provider
    }
}

#[derive(Default)]
pub struct TenantQuery;

#[Object]
impl TenantQuery {
    /// All tenants whose name or id contains a text, by name.
    async fn tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(500)")] first: Option<i32>,
        after: Option<PageCursor>,
        search_term: Option<String>,
    ) -> Result<TenantPage, Error> {
        let first = page::large_size(first)?;
        let page = Page::after(first, after.map(|cursor| cursor.0))
            .map_err(|error| error.during("while listing tenants from DB"))?;
        let search = search_term.unwrap_or_default();
        let registry = registry_of(ctx);
        let wanted = Wanted::of(ctx);
        let slice = if wanted.rows {
            registry.tenants(&search, &page).await?
        } else {
            Slice {
                rows: Vec::new(),
                has_next: false,
            }
        };
        let count = if wanted.count {
            registry.count_tenants(&search).await?
        } else {
            0
        };
        let Parts {
            data,
            page_info,
            total_count,
        } = Parts::new(page, slice, count, Tenant);
        Ok(TenantPage {
            data,
            page_info,
            total_count,
        })
    }

    /// The tenant that callers know by this id.
    #[graphql(name = "tenantByExternalID")]
    async fn tenant_by_external_id(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<Tenant>, Error> {
        let found = registry_of(ctx).tenant_by_external_id(&id).await?;
        found
            .map(|tenant| Some(Tenant(tenant)))
            .ok_or(Error::not_found(OBJECT))
    }

    /// The tenant with an internal id.
    #[graphql(name = "tenantByInternalID")]
    async fn tenant_by_internal_id(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<Option<Tenant>, Error> {
        let found = registry_of(ctx).tenant_by_id(parse_id("id", &id)?).await?;
        found
            .map(|tenant| Some(Tenant(tenant)))
            .ok_or(Error::not_found(OBJECT))
    }

    /// The tenants at the top of those that a tenant belongs to.
    async fn root_tenants(
        &self,
        ctx: &Context<'_>,
        external_tenant: String,
    ) -> Result<Option<Vec<Tenant>>, Error> {
        let roots = registry_of(ctx).root_tenants(&external_tenant).await?;
        Ok(Some(roots.into_iter().map(Tenant).collect()))
    }
}

#[derive(Default)]
pub struct TenantMutation;

#[Object]
impl TenantMutation {
    /// Makes tenants, or changes those that are known. Gives their internal ids.
    async fn write_tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: Option<Vec<BusinessTenantMappingInput>>,
    ) -> Result<Option<Vec<String>>, Error> {
        let tenants = input
            .unwrap_or_default()
            .into_iter()
            .map(NewTenant::try_from);
        let ids = registry_of(ctx)
            .write_tenants(tenants.collect::<Result<_, _>>()?, MissingParent::Refused)
            .await?;
        Ok(Some(ids.iter().map(ToString::to_string).collect()))
    }

    /// Makes a tenant, or changes it if it is known. Gives its internal id.
    async fn write_tenant(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: BusinessTenantMappingInput,
    ) -> Result<String, Error> {
        let ids = registry_of(ctx)
            .write_tenants(vec![input.try_into()?], MissingParent::LeftOut)
            .await?;
        ids.first()
            .map(ToString::to_string)
            .ok_or(Error::not_found(OBJECT))
    }

    /// Changes the tenant with an internal id.
    async fn update_tenant(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(name = "in")] input: BusinessTenantMappingInput,
    ) -> Result<Tenant, Error> {
        let id = parse_id("id", &id)?;
        registry_of(ctx)
            .update_tenant(id, input.try_into()?)
            .await
            .map(Tenant)
    }

    /// Removes the tenants that callers know by these ids, with all that they own and the tenants
    /// below them. Gives how many ids there were.
    async fn delete_tenants(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "in")] input: Option<Vec<String>>,
    ) -> Result<usize, Error> {
        let external_ids = input.unwrap_or_default();
        let asked = external_ids.len();
        registry_of(ctx).delete_tenants(external_ids).await?;
        Ok(asked)
    }

    /// Sets a label of the tenant with an internal id.
    async fn set_tenant_label(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "tenantID")] tenant_id: ID,
        key: String,
        value: Any,
    ) -> Result<Label, Error> {
        label::validate(&key, &value)?;
        let id = parse_id("tenantID", &tenant_id)?;
        registry_of(ctx)
            .set_tenant_label(id, key.clone(), value.0.clone())
            .await?;
        Ok(Label { key, value })
    }
}
