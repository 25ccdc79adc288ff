SELECT o.id, o.epoch, o.version, o.webhooks, o.outcome
FROM unnest($1::uuid[]) AS i (id)
JOIN operation AS o ON o.id = i.id
