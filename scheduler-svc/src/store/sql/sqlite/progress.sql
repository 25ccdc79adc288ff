SELECT o.id, o.version, iif(o.outcome IS NULL, 'p', 'z') AS phase
FROM json_each(?1) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value)
UNION ALL
SELECT d.id, d.version, iif(d.succeeded, 's', 'f') AS phase
FROM json_each(?1) AS i
CROSS JOIN operation_done AS d ON d.id = unhex(i.value)
