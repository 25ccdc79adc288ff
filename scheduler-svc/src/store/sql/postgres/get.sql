SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, o.outcome, o.version, o.epoch, o.recorded_at,
    o.updated_at, CAST(NULL AS bigint) AS done_at
FROM unnest($1::uuid[]) AS i (id)
JOIN operation AS o ON o.id = i.id
UNION ALL
SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, o.outcome, o.version, o.epoch, o.recorded_at,
    o.done_at, o.done_at
FROM unnest($1::uuid[]) AS i (id)
JOIN operation_done AS o ON o.id = i.id
