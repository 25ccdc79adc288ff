UPDATE session SET expires_at = 0 WHERE id = ANY ($1::uuid[])
