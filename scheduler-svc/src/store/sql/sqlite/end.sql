-- ?3: the outcome, where it differs from the recorded one. ?4: 1 for one that may end without. As a failure ends the
-- whole transaction, pages are not copied to a journal of this statement first; RETURNING would make a table of its own.
INSERT OR ROLLBACK INTO operation_done (
    id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at, done_at
)
SELECT id, tenant, resource_type, resource_id, spec, webhooks, coalesce(?3, outcome),
    coalesce(?3, outcome) = '"Succeeded"', version + 1, epoch + ?4, recorded_at, ?5
FROM operation
WHERE id = ?1 AND epoch = ?2 AND (outcome IS NOT NULL OR ?4 = 1)
ON CONFLICT (id) DO NOTHING
