-- Whether the session was granted before ?3 what it does not hold: what undelivered.sql frees.
SELECT id FROM operation
WHERE holder = ?2 AND updated_at < ?3 AND id NOT IN (SELECT unhex(value) FROM json_each(?1))
LIMIT 1
