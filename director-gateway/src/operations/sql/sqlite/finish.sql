-- Leaves an operation's receipt. As a failure ends the whole transaction, pages are not copied to a journal of this
-- statement first.
INSERT OR ROLLBACK INTO receipt (
    operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
)
SELECT operation_id, tenant_id, resource_type, resource_id, operation_type, ?2, ?3, ?4, ?5
FROM outbox
WHERE rowid = ?1
