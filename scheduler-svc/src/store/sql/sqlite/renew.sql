UPDATE session SET seen_at = ?2, expires_at = ?3 WHERE id = ?1 AND expires_at <> 0 RETURNING id
