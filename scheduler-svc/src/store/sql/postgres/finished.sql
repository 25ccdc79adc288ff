SELECT d.id, d.epoch, d.version
FROM unnest($1::uuid[]) AS i (id)
JOIN operation_done AS d ON d.id = i.id
