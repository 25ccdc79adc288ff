-- Ends an operation of an application that stays.
UPDATE application
SET ready = 1,
    operation_id = NULL,
    error = ?2,
    status_condition = ?3,
    status_timestamp = ?4,
    updated_at = CASE WHEN deleted_at IS NULL THEN ?4 ELSE updated_at END,
    revision = revision + 1
WHERE rowid = ?1
