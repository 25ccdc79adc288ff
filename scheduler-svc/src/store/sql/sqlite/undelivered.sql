UPDATE operation
SET version = version + 1, holder = x'ffffffffffffffffffffffffffffffff', updated_at = ?3
WHERE holder = ?2 AND updated_at < ?4 AND id NOT IN (SELECT unhex(value) FROM json_each(?1))
RETURNING id
