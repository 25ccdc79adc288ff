UPDATE session SET expires_at = 0 WHERE id = ?1
