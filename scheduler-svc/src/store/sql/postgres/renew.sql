UPDATE session AS s SET seen_at = $2, expires_at = $3
FROM unnest($1::uuid[]) AS i (id)
WHERE s.id = i.id AND s.expires_at <> 0
RETURNING s.id
