SELECT o.id AS asked, o.id AS other, o.epoch, o.outcome
FROM operation AS o
WHERE o.id = ?1
UNION ALL
SELECT d.id, d.id, d.epoch, d.outcome
FROM operation_done AS d
WHERE d.id = ?1
UNION ALL
SELECT ?1, o.id, o.epoch, o.outcome
FROM operation AS o
WHERE o.resource_id = ?4 AND o.resource_type = ?3 AND o.tenant = ?2 AND o.id <> ?1
