UPDATE operation
SET version = version + 1, webhooks = ?4, outcome = coalesce(outcome, ?5), updated_at = ?6
WHERE id = ?1 AND epoch = ?2 AND version = ?3 AND (outcome IS NULL OR ?5 IS NULL OR outcome = ?5)
