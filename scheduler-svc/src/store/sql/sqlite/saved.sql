SELECT o.id, o.epoch, o.version, o.webhooks, o.outcome
FROM json_each(?1) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value ->> 0)
