-- OFFSET 0: as in get.sql.
SELECT d.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (SELECT d.id, d.epoch, d.version FROM operation_done AS d WHERE d.id = i.id OFFSET 0) AS d
