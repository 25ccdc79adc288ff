SELECT o.id, o.version, CASE WHEN o.outcome IS NULL THEN 'p' ELSE 'z' END AS phase
FROM unnest($1::uuid[]) AS i (id)
JOIN operation AS o ON o.id = i.id
UNION ALL
SELECT d.id, d.version, CASE WHEN d.succeeded THEN 's' ELSE 'f' END AS phase
FROM unnest($1::uuid[]) AS i (id)
JOIN operation_done AS d ON d.id = i.id
