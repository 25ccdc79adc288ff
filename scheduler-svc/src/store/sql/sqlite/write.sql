-- Returned is what was written: 1 saved, 2 released, 3 ended, 4 recorded, with the version reached. The lists are
-- $1 saves, $2 attempts, $3 releases, $4 ends, $5 records; $6 is now.
UPDATE operation
SET version = operation.version + 1,
    webhooks = i.webhooks,
    outcome = coalesce(operation.outcome, i.outcome),
    holder = CASE WHEN i.release_for IS NULL THEN holder ELSE zeroblob(16) END,
    due_at = coalesce($6 + i.release_for, due_at),
    updated_at = $6
FROM (
    SELECT unhex(value ->> 0) AS id, value ->> 1 AS epoch, value ->> 2 AS version, value ->> 3 AS webhooks,
        value ->> 4 AS outcome, value ->> 5 AS release_for
    FROM json_each($1)
) AS i
WHERE operation.id = i.id AND operation.epoch = i.epoch AND operation.version = i.version
    AND (operation.outcome IS NULL OR i.outcome IS NULL OR i.outcome = operation.outcome)
RETURNING 1, id, version;

INSERT INTO attempt (
    operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request, response,
    error, next_attempt_at
)
SELECT unhex(i.value ->> 0), unhex(i.value ->> 3), i.value ->> 4, i.value ->> 5, i.value ->> 6, i.value ->> 7,
    i.value ->> 8, i.value ->> 9, i.value ->> 10, i.value ->> 11, i.value ->> 12, i.value ->> 13, i.value ->> 14
FROM json_each($2) AS i
-- Only what belongs to a save that was written.
WHERE EXISTS (
    SELECT 1 FROM operation AS o
    WHERE o.id = unhex(i.value ->> 0) AND o.epoch = i.value ->> 1 AND o.version = (i.value ->> 2) + 1
)
ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
WHERE attempt.count < excluded.count;

UPDATE operation
SET version = operation.version + 1, holder = i.holder, due_at = $6 + i.retry_in, updated_at = $6
FROM (
    SELECT unhex(value ->> 0) AS id, value ->> 1 AS epoch, unhex(value ->> 2) AS holder, value ->> 3 AS retry_in
    FROM json_each($3)
) AS i
WHERE operation.id = i.id AND operation.epoch = i.epoch
RETURNING 2, id, version;

INSERT INTO operation_done (
    id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at, done_at
)
SELECT o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks, coalesce(i.value ->> 2, o.outcome),
    coalesce(i.value ->> 2, o.outcome) = '"Succeeded"', o.version + 1, o.epoch + (i.value ->> 3), o.recorded_at, $6
FROM json_each($4) AS i
CROSS JOIN operation AS o ON o.id = unhex(i.value ->> 0)
WHERE o.epoch = i.value ->> 1 AND (o.outcome IS NOT NULL OR i.value ->> 3 = 1)
ON CONFLICT (id) DO NOTHING
RETURNING 3, id, version;

DELETE FROM operation
WHERE id IN (SELECT unhex(value ->> 0) FROM json_each($4))
    AND EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = operation.id);

INSERT INTO operation (
    id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
    due_at, recorded_at, updated_at
)
SELECT unhex(i.value ->> 0), unhex(i.value ->> 1), i.value ->> 2, unhex(i.value ->> 3), i.value ->> 4,
    i.value ->> 5, i.value ->> 6, 1, i.value ->> 7, unhex(i.value ->> 8), 0, i.value ->> 9, i.value ->> 9,
    i.value ->> 9
FROM json_each($5) AS i
WHERE NOT EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = unhex(i.value ->> 0))
ON CONFLICT DO NOTHING
RETURNING 4, id, 1
