INSERT INTO session (id, instance_id, seen_at, expires_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, expires_at = excluded.expires_at
WHERE session.expires_at <> 0
RETURNING id
