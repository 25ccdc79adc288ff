-- OFFSET 0: as in get.sql.
SELECT o.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT o.id, o.version, CASE WHEN o.outcome IS NULL THEN 'p' ELSE 'z' END AS phase
    FROM operation AS o
    WHERE o.id = i.id
    OFFSET 0
) AS o
UNION ALL
SELECT d.*
FROM unnest($1::uuid[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT d.id, d.version, CASE WHEN d.succeeded THEN 's' ELSE 'f' END AS phase
    FROM operation_done AS d
    WHERE d.id = i.id
    OFFSET 0
) AS d
