WITH forgotten AS (
    DELETE FROM session AS s
    WHERE s.seen_at < $3 AND s.expires_at < $3 AND s.instance_id <> ''
        AND NOT EXISTS (SELECT FROM operation AS o WHERE o.holder = s.id)
)
UPDATE session SET expires_at = 0 WHERE instance_id = $2 AND id <> $1 AND seen_at >= $3
