UPDATE session SET seen_at = ?2, expires_at = ?3
WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1)) AND expires_at <> 0
RETURNING id
