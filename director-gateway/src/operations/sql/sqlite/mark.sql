-- Marks one item's resource. ?1 id, ?2 tenant, ?3 revision, ?4 operation, ?5 its type, ?6 condition,
-- ?7 template, ?8 its revision, ?9 now. No row: the guard misses.
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
WHERE id = ?1
  AND tenant_id = ?2
  AND revision = ?3
  AND (
      ?7 IS NULL
      OR EXISTS (SELECT 1 FROM application_template t WHERE t.id = ?7 AND t.revision = ?8)
  )
