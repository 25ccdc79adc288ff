-- Marks an application with its operation.
UPDATE application
SET ready = 0,
    error = NULL,
    status_condition = ?4,
    status_timestamp = ?5,
    operation_id = ?2,
    operation_type = ?3,
    deleted_at = CASE WHEN ?3 = 'Delete' THEN coalesce(deleted_at, ?5) ELSE deleted_at END,
    updated_at = CASE WHEN ?3 = 'Delete' THEN updated_at ELSE ?5 END,
    revision = revision + 1
WHERE id = ?1
