-- OFFSET 0: as in get.sql.
SELECT o.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT o.id, o.epoch, o.version, o.webhooks, o.outcome FROM operation AS o WHERE o.id = i.id OFFSET 0
) AS o
