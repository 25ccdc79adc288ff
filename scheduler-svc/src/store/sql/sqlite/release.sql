UPDATE operation
SET version = version + 1, holder = ?3, due_at = ?4, updated_at = ?5
WHERE id = ?1 AND epoch = ?2
RETURNING version
