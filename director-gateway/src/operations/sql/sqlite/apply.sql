-- Gives the resource its outcome. ?1 id, ?2 condition, ?3 error as the resource carries it, ?4 now.
UPDATE application
SET ready = 1,
    operation_id = NULL,
    error = ?3,
    status_condition = ?2,
    status_timestamp = ?4,
    updated_at = CASE WHEN deleted_at IS NULL THEN ?4 ELSE updated_at END,
    revision = revision + 1
WHERE id = ?1
