SELECT id, tenant, resource_type, resource_id, spec, webhooks, outcome, version, epoch, recorded_at, updated_at,
    CAST(NULL AS bigint) AS done_at
FROM operation
WHERE id = $1
UNION ALL
SELECT id, tenant, resource_type, resource_id, spec, webhooks, outcome, version, epoch, recorded_at, done_at, done_at
FROM operation_done
WHERE id = $1
