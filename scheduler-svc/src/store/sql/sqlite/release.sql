UPDATE operation
SET version = operation.version + 1, holder = i.holder, due_at = ?2 + i.retry_in, updated_at = ?2
FROM (
    SELECT unhex(value ->> 0) AS id, value ->> 1 AS epoch, unhex(value ->> 2) AS holder, value ->> 3 AS retry_in
    FROM json_each(?1)
) AS i
WHERE operation.id = i.id AND operation.epoch = i.epoch
RETURNING id, version
