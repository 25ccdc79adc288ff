DELETE FROM session
WHERE seen_at < ?3 AND expires_at < ?3 AND instance_id <> ''
    AND NOT EXISTS (SELECT 1 FROM operation AS o WHERE o.holder = session.id);

UPDATE session SET expires_at = 0 WHERE instance_id = ?2 AND id <> ?1
