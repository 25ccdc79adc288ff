-- When there is something to claim: 0 where an ended session holds an operation, null where nothing waits.
WITH RECURSIVE waiting (destination) AS (
    SELECT min(o.destination) FROM operation AS o WHERE o.holder = '00000000-0000-0000-0000-000000000000'
    UNION ALL
    SELECT (
        SELECT min(o.destination) FROM operation AS o
        WHERE o.holder = '00000000-0000-0000-0000-000000000000' AND o.destination > w.destination
    )
    FROM waiting AS w
    WHERE w.destination IS NOT NULL
)
SELECT CASE
    WHEN EXISTS (
        SELECT FROM session AS s
        WHERE s.expires_at <= $1 AND EXISTS (SELECT FROM operation AS o WHERE o.holder = s.id)
    ) THEN 0
    ELSE (
        SELECT min((
            SELECT min(o.due_at) FROM operation AS o
            WHERE o.holder = '00000000-0000-0000-0000-000000000000' AND o.destination = w.destination
        ))
        FROM waiting AS w
        WHERE w.destination IS NOT NULL
    )
END AS due_at,
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
