INSERT INTO operation_done (
    id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at, done_at
)
SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, coalesce(i.value ->> 2, o.outcome),
    coalesce(i.value ->> 2, o.outcome) = '"Succeeded"', o.version + 1, o.epoch + (i.value ->> 3), o.recorded_at, ?2
FROM json_each(?1) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value ->> 0)
WHERE o.epoch = i.value ->> 1 AND (o.outcome IS NOT NULL OR i.value ->> 3 = 1)
ON CONFLICT (id) DO NOTHING
RETURNING id, version;

DELETE FROM operation
WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1))
    AND EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = operation.id)
