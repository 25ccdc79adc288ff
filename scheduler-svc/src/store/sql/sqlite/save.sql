UPDATE operation
SET version = operation.version + 1,
    webhooks = i.webhooks,
    outcome = coalesce(operation.outcome, i.outcome),
    holder = CASE WHEN i.release_for IS NULL THEN holder ELSE zeroblob(16) END,
    due_at = coalesce(?2 + i.release_for, due_at),
    updated_at = ?2
FROM (
    SELECT unhex(value ->> 0) AS id, value ->> 1 AS epoch, value ->> 2 AS version, value ->> 3 AS webhooks,
        value ->> 4 AS outcome, value ->> 5 AS release_for
    FROM json_each(?1)
) AS i
WHERE operation.id = i.id AND operation.epoch = i.epoch AND operation.version = i.version
    AND (operation.outcome IS NULL OR i.outcome IS NULL OR i.outcome = operation.outcome)
RETURNING id, version
