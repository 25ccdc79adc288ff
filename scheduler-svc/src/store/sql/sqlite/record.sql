-- As a failure ends the whole transaction, pages are not copied to a journal of this statement first.
INSERT OR ROLLBACK INTO operation (
    id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
    due_at, recorded_at, updated_at
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8, ?9, 0, ?10, ?10, ?10
WHERE NOT EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = ?1)
ON CONFLICT DO NOTHING
