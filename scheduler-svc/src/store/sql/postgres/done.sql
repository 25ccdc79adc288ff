WITH finished AS (
    DELETE FROM operation AS o
    USING unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[]) AS i (id, epoch, outcome, closing)
    WHERE o.id = i.id AND o.epoch = i.epoch AND (o.outcome IS NOT NULL OR i.closing = 1)
    RETURNING o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks,
        coalesce(i.outcome, o.outcome) AS outcome, o.version + 1 AS version, o.epoch + i.closing AS epoch,
        o.recorded_at
)
INSERT INTO operation_done (
    id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at, done_at
)
SELECT id, tenant, resource_type, resource_id, spec, webhooks, outcome, outcome = '"Succeeded"', version, epoch,
    recorded_at, $5
FROM finished
ON CONFLICT (id) DO NOTHING
RETURNING id, version
