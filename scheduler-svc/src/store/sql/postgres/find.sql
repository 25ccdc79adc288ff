-- OFFSET 0: as in get.sql.
SELECT i.id AS asked, o.id AS other, o.epoch, o.outcome
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (SELECT o.id, o.epoch, o.outcome FROM operation AS o WHERE o.id = i.id OFFSET 0) AS o
UNION ALL
SELECT i.id, d.id, d.epoch, d.outcome
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (SELECT d.id, d.epoch, d.outcome FROM operation_done AS d WHERE d.id = i.id OFFSET 0) AS d
UNION ALL
SELECT i.id, o.id, o.epoch, o.outcome
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS i (id, tenant, resource_type, resource_id)
CROSS JOIN LATERAL (
    SELECT o.id, o.epoch, o.outcome
    FROM operation AS o
    WHERE o.resource_id = i.resource_id AND o.resource_type = i.resource_type AND o.tenant = i.tenant AND o.id <> i.id
    OFFSET 0
) AS o
