//! What the registry knows of single operations: receipts, and what still waits in the outbox.

use binnacle_boot::database::Database;
use binnacle_domain::operation::{OperationId, Outcome};
use binnacle_proto::common::v1;
use chrono::{DateTime, Utc};
use prost::Message as _;
use uuid::Uuid;

use super::{Error, Operations, finalize};

/// Proof that an outcome was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The operation.
    pub operation: OperationId,
    /// Internal id of its tenant.
    pub tenant: Uuid,
    /// Its resource.
    pub resource: Uuid,
    /// `Create`, `Update` or `Delete`.
    pub operation_type: String,
    /// What was applied.
    pub outcome: Outcome,
    /// When.
    pub finalized_at: DateTime<Utc>,
}

/// A resource that is gone does not come back, so at most one receipt tells of its deletion. The conditions are those
/// of the index `receipt_of_deletion`, word for word; else it would not be used.
pub(super) const DELETION: &str = "SELECT operation_id, tenant_id, resource_id, operation_type, succeeded, error, \
     detail, finalized_at FROM receipt \
     WHERE resource_id = $1 AND tenant_id = $2 AND succeeded AND operation_type = 'Delete'";

#[derive(sqlx::FromRow)]
struct ReceiptRow {
    operation_id: Uuid,
    tenant_id: Uuid,
    resource_id: Uuid,
    operation_type: String,
    succeeded: bool,
    error: String,
    detail: String,
    finalized_at: DateTime<Utc>,
}

impl From<ReceiptRow> for Receipt {
    fn from(row: ReceiptRow) -> Self {
        let ReceiptRow {
            operation_id,
            tenant_id,
            resource_id,
            operation_type,
            succeeded,
            error,
            detail,
            finalized_at,
        } = row;
        Self {
            operation: OperationId(operation_id),
            tenant: tenant_id,
            resource: resource_id,
            operation_type,
            outcome: finalize::outcome(succeeded, error, detail),
            finalized_at,
        }
    }
}

impl Operations {
    /// The receipt of an operation.
    pub async fn receipt(&self, id: Uuid) -> Result<Option<Receipt>, Error> {
        const SELECT: &str = "SELECT operation_id, tenant_id, resource_id, operation_type, succeeded, error, detail, \
             finalized_at FROM receipt WHERE operation_id = $1";
        let row: Option<ReceiptRow> = match &self.database {
            Database::Sqlite(sqlite) => {
                sqlx::query_as(SELECT)
                    .bind(id)
                    .fetch_optional(&sqlite.read)
                    .await?
            }
            Database::Postgres(pool) => {
                sqlx::query_as(SELECT).bind(id).fetch_optional(pool).await?
            }
        };
        Ok(row.map(Into::into))
    }

    /// The receipt of a resource's deletion, if it was deleted in this tenant by an operation.
    pub async fn deletion(&self, tenant: Uuid, resource: Uuid) -> Result<Option<Receipt>, Error> {
        let row: Option<ReceiptRow> = match &self.database {
            Database::Sqlite(sqlite) => {
                sqlx::query_as(DELETION)
                    .bind(resource)
                    .bind(tenant)
                    .fetch_optional(&sqlite.read)
                    .await?
            }
            Database::Postgres(pool) => {
                sqlx::query_as(DELETION)
                    .bind(resource)
                    .bind(tenant)
                    .fetch_optional(pool)
                    .await?
            }
        };
        Ok(row.map(Into::into))
    }

    /// An operation that is accepted and not finalized, complete, with its tenant.
    pub async fn pending(&self, id: Uuid) -> Result<Option<v1::OperationSpec>, Error> {
        const SELECT: &str = "SELECT spec, definitions FROM outbox WHERE operation_id = $1";
        let row: Option<(Vec<u8>, Vec<u8>)> = match &self.database {
            Database::Sqlite(sqlite) => {
                sqlx::query_as(SELECT)
                    .bind(id)
                    .fetch_optional(&sqlite.read)
                    .await?
            }
            Database::Postgres(pool) => {
                sqlx::query_as(SELECT).bind(id).fetch_optional(pool).await?
            }
        };
        let Some((spec, definitions)) = row else {
            return Ok(None);
        };
        let mut spec =
            v1::OperationSpec::decode(spec.as_slice()).map_err(|_| Error::Unreadable { id })?;
        spec.webhooks = self
            .definitions
            .find(&definitions)
            .await?
            .ok_or(Error::Unreadable { id })?;
        Ok(Some(spec))
    }
}
