UPDATE operation
SET version = version + 1, holder = 'ffffffff-ffff-ffff-ffff-ffffffffffff', updated_at = $3
WHERE holder = $2 AND updated_at < $4 AND id NOT IN (SELECT unnest($1::uuid[]))
RETURNING id
