-- OFFSET 0 keeps each look at a key what it is: planned while a table was empty, a join would read all of it.
SELECT o.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, o.outcome, o.version, o.epoch,
        o.recorded_at, o.updated_at, CAST(NULL AS bigint) AS done_at
    FROM operation AS o
    WHERE o.id = i.id
    OFFSET 0
) AS o
UNION ALL
SELECT d.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT d.id, d.tenant, d.resource_type, d.resource_id, d.spec, d.webhooks, d.outcome, d.version, d.epoch,
        d.recorded_at, d.done_at AS updated_at, d.done_at
    FROM operation_done AS d
    WHERE d.id = i.id
    OFFSET 0
) AS d
