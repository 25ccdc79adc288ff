UPDATE session SET expires_at = 0 WHERE id IN (SELECT unhex(value ->> 0) FROM json_each(?1))
