-- Whether the session was granted before $3 what it does not hold: what undelivered.sql frees.
SELECT id FROM operation
WHERE holder = $2 AND updated_at < $3 AND id NOT IN (SELECT unnest($1::uuid[]))
LIMIT 1
