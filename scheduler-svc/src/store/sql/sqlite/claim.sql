-- What nobody holds is claimed when it is due, what an ended session holds at once. The index is walked from
-- destination to destination, so that a million operations of one do not stand before those of another.
UPDATE operation
SET version = version + 1,
    epoch = epoch + 1,
    orphaned = holder <> zeroblob(16),
    holder = ?2,
    updated_at = ?3
WHERE id IN (
    WITH RECURSIVE source (holder, until) AS (
        SELECT zeroblob(16), ?3
        UNION ALL
        SELECT s.id, 9223372036854775807 FROM session AS s WHERE s.expires_at <= ?4
    ), pair (holder, until, destination) AS (
        SELECT s.holder, s.until, (SELECT min(o.destination) FROM operation AS o WHERE o.holder = s.holder)
        FROM source AS s
        UNION ALL
        SELECT p.holder, p.until,
            (SELECT min(o.destination) FROM operation AS o WHERE o.holder = p.holder AND o.destination > p.destination)
        FROM pair AS p
        WHERE p.destination IS NOT NULL
    )
    SELECT o.id
    FROM pair AS p
    CROSS JOIN operation AS o ON o.id IN (
        SELECT c.id FROM operation AS c
        WHERE c.holder = p.holder AND c.destination = p.destination AND c.due_at <= p.until
        ORDER BY c.due_at
        LIMIT ?6
    )
    WHERE p.destination IS NOT NULL AND p.destination NOT IN (SELECT value FROM json_each(?1))
    ORDER BY o.due_at
    LIMIT ?5
)
RETURNING id, tenant, resource_type, resource_id, destination, spec, webhooks, outcome, version, epoch, orphaned,
    recorded_at, updated_at
