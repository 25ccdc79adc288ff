-- What nobody holds is claimed when it is due, what an ended session holds at once. The index is walked from
-- destination to destination, so that a million operations of one do not stand before those of another.
WITH RECURSIVE source (holder, until) AS (
    SELECT '00000000-0000-0000-0000-000000000000'::uuid, $3::bigint
    UNION ALL
    SELECT s.id, 9223372036854775807 FROM session AS s WHERE s.expires_at <= $4
), pair (holder, until, destination) AS (
    SELECT s.holder, s.until, (SELECT min(o.destination) FROM operation AS o WHERE o.holder = s.holder)
    FROM source AS s
    UNION ALL
    SELECT p.holder, p.until,
        (SELECT min(o.destination) FROM operation AS o WHERE o.holder = p.holder AND o.destination > p.destination)
    FROM pair AS p
    WHERE p.destination IS NOT NULL
), candidate AS (
    SELECT o.id, p.holder
    FROM pair AS p
    CROSS JOIN LATERAL (
        SELECT c.id, c.due_at FROM operation AS c
        WHERE c.holder = p.holder AND c.destination = p.destination AND c.due_at <= p.until
        ORDER BY c.due_at
        LIMIT $6
    ) AS o
    WHERE p.destination <> ALL ($1::bigint[])
    ORDER BY o.due_at
    LIMIT $5
), locked AS (
    SELECT o.id
    FROM candidate AS c
    JOIN operation AS o ON o.id = c.id
    WHERE o.holder = c.holder
    FOR UPDATE OF o SKIP LOCKED
)
UPDATE operation AS o
SET version = o.version + 1,
    epoch = o.epoch + 1,
    orphaned = CASE WHEN o.holder = '00000000-0000-0000-0000-000000000000' THEN 0 ELSE 1 END,
    holder = $2,
    updated_at = $3
FROM locked
WHERE o.id = locked.id
RETURNING o.id, o.tenant, o.resource_type, o.resource_id, o.destination, o.spec, o.webhooks, o.outcome, o.version,
    o.epoch, o.orphaned, o.recorded_at, o.updated_at
