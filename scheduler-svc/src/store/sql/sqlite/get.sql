SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, o.outcome, o.version, o.epoch, o.recorded_at,
    o.updated_at, CAST(NULL AS bigint) AS done_at
FROM json_each(?1) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value)
UNION ALL
SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, o.outcome, o.version, o.epoch, o.recorded_at,
    o.done_at, o.done_at
FROM json_each(?1) AS i
CROSS JOIN operation_done AS o ON o.id = unhex(i.value)
