-- Ends an operation of an application that stays.
UPDATE application
SET ready = 1,
    operation_id = NULL,
    error = ?3,
    status_condition = ?4,
    status_timestamp = ?5,
    updated_at = CASE WHEN deleted_at IS NULL THEN ?5 ELSE updated_at END,
    revision = revision + 1
WHERE id = ?1 AND operation_id = ?2
