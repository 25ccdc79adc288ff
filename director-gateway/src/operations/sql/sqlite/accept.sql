-- Marks an application with its operation, if it and its template are as they were read.
UPDATE application
SET ready = 0,
    error = NULL,
    status_condition = ?6,
    status_timestamp = ?9,
    operation_id = ?4,
    operation_type = ?5,
    deleted_at = CASE WHEN ?5 = 'Delete' THEN coalesce(deleted_at, ?9) ELSE deleted_at END,
    updated_at = CASE WHEN ?5 = 'Delete' THEN updated_at ELSE ?9 END,
    revision = revision + 1
WHERE id = ?1 AND tenant_id = ?2 AND revision = ?3
    AND (?7 IS NULL OR ?8 = (SELECT t.revision FROM application_template AS t WHERE t.id = ?7))
