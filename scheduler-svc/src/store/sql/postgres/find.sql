SELECT i.id AS asked, o.id AS other, o.epoch, o.outcome
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS i (id, tenant, resource_type, resource_id)
JOIN operation AS o ON o.id = i.id
UNION ALL
SELECT i.id, d.id, d.epoch, d.outcome
FROM unnest($1::uuid[]) AS i (id)
JOIN operation_done AS d ON d.id = i.id
UNION ALL
SELECT i.id, o.id, o.epoch, o.outcome
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) AS i (id, tenant, resource_type, resource_id)
JOIN operation AS o
    ON o.resource_id = i.resource_id AND o.resource_type = i.resource_type AND o.tenant = i.tenant AND o.id <> i.id
