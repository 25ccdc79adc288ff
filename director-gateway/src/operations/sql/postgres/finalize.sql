-- Applies outcomes that the outbox still waits for: $1 operations, $2 succeeded, $3 error, $4 detail,
-- $5 the error as the resource carries it, $6 now. Returned are those whose outcome is now applied.
WITH item AS (
    SELECT *
    FROM unnest($1::uuid[], $2::boolean[], $3::text[], $4::text[], $5::text[])
        AS t (operation_id, succeeded, error, detail, shown)
), box AS (
    SELECT o.operation_id, o.tenant_id, o.resource_type, o.resource_id, o.operation_type, o.success_condition,
           o.failure_condition, item.succeeded, item.error, item.detail, item.shown
    FROM outbox o
    JOIN item USING (operation_id)
    ORDER BY o.operation_id
    FOR UPDATE OF o
), removed AS (
    DELETE FROM application a
    USING box
    WHERE a.id = box.resource_id
      AND a.operation_id = box.operation_id
      AND box.succeeded
      AND box.success_condition IS NULL
    RETURNING a.operation_id
), updated AS (
    UPDATE application a
    SET ready = true,
        operation_id = NULL,
        error = CASE WHEN box.succeeded THEN NULL ELSE box.shown END,
        status_condition = CASE WHEN box.succeeded THEN box.success_condition ELSE box.failure_condition END,
        status_timestamp = $6,
        updated_at = CASE WHEN a.deleted_at IS NULL THEN $6 ELSE a.updated_at END,
        revision = a.revision + 1
    FROM box
    WHERE a.id = box.resource_id
      AND a.operation_id = box.operation_id
      AND NOT (box.succeeded AND box.success_condition IS NULL)
    RETURNING box.operation_id
), judged AS (
    SELECT box.*, found.operation_id IS NOT NULL AS applied
    FROM box
    LEFT JOIN (SELECT operation_id FROM removed UNION ALL SELECT operation_id FROM updated) found USING (operation_id)
    WHERE NOT EXISTS (
        SELECT FROM application a
        WHERE a.id = box.resource_id AND a.operation_id IS DISTINCT FROM box.operation_id
    )
), outcome AS (
    -- A resource that is gone: what a delete wanted, and what an update could not do.
    SELECT operation_id, tenant_id, resource_type, resource_id, operation_type, applied,
           CASE WHEN applied THEN succeeded ELSE operation_type = 'Delete' END AS succeeded,
           CASE
               WHEN applied THEN error
               WHEN operation_type = 'Delete' THEN ''
               ELSE 'Application not found in director'
           END AS error,
           CASE WHEN applied THEN detail ELSE '' END AS detail
    FROM judged
), cleared AS (
    DELETE FROM outbox o
    USING outcome
    WHERE o.operation_id = outcome.operation_id
), written AS (
    INSERT INTO receipt (
        operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
    )
    SELECT operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, $6
    FROM outcome
)
SELECT operation_id, applied, succeeded, error, detail
FROM outcome
