SELECT o.id AS asked, o.id AS other, o.epoch, o.outcome
FROM json_each(?1) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value ->> 0)
UNION ALL
SELECT d.id, d.id, d.epoch, d.outcome
FROM json_each(?1) AS i
CROSS JOIN operation_done AS d ON d.id = unhex(i.value ->> 0)
UNION ALL
SELECT unhex(i.value ->> 0), o.id, o.epoch, o.outcome
FROM json_each(?1) AS i
CROSS JOIN operation AS o
    ON o.resource_id = unhex(i.value ->> 3) AND o.resource_type = i.value ->> 2 AND o.tenant = unhex(i.value ->> 1)
    AND o.id <> unhex(i.value ->> 0)
