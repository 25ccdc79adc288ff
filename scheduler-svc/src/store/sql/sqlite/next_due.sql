-- When there is something to claim: 0 where an ended session holds an operation, null where nothing waits.
WITH RECURSIVE waiting (destination) AS (
    SELECT min(o.destination) FROM operation AS o WHERE o.holder = zeroblob(16)
    UNION ALL
    SELECT (
        SELECT min(o.destination) FROM operation AS o
        WHERE o.holder = zeroblob(16) AND o.destination > w.destination
    )
    FROM waiting AS w
    WHERE w.destination IS NOT NULL
)
SELECT CASE
    WHEN EXISTS (
        SELECT 1 FROM session AS s
        WHERE s.expires_at <= ?1 AND EXISTS (SELECT 1 FROM operation AS o WHERE o.holder = s.id)
    ) THEN 0
    ELSE (
        SELECT min((
            SELECT min(o.due_at) FROM operation AS o
            WHERE o.holder = zeroblob(16) AND o.destination = w.destination
        ))
        FROM waiting AS w
        WHERE w.destination IS NOT NULL
    )
END AS due_at,
    CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now
