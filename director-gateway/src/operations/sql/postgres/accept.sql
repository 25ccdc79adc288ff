-- Marks resources and records their operations, one item per resource. $9: now. Items whose guard misses, or
-- whose row somebody else holds, are not returned.
WITH item AS (
    SELECT *
    FROM unnest(
        $1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::bigint[],
        $10::text[], $11::text[], $12::bytea[], $13::bytea[], $14::text[]
    ) AS t (
        id, tenant_id, revision, operation_id, operation_type, condition, template_id, template_revision,
        success_condition, failure_condition, spec, definitions, resource_type
    )
), held AS (
    SELECT a.id
    FROM application a
    JOIN item USING (id)
    ORDER BY a.id
    FOR UPDATE OF a SKIP LOCKED
), marked AS (
    UPDATE application a
    SET ready = false,
        error = NULL,
        status_condition = item.condition,
        status_timestamp = $9,
        operation_id = item.operation_id,
        operation_type = item.operation_type,
        deleted_at = CASE WHEN item.operation_type = 'Delete' THEN coalesce(a.deleted_at, $9) ELSE a.deleted_at END,
        updated_at = CASE WHEN item.operation_type = 'Delete' THEN a.updated_at ELSE $9 END,
        revision = a.revision + 1
    FROM item
    JOIN held USING (id)
    WHERE a.id = item.id
      AND a.tenant_id = item.tenant_id
      AND a.revision = item.revision
      AND (
          item.template_id IS NULL
          OR EXISTS (
              SELECT FROM application_template t
              WHERE t.id = item.template_id AND t.revision = item.template_revision
          )
      )
    RETURNING a.operation_id
)
INSERT INTO outbox (
    operation_id, tenant_id, resource_type, resource_id, operation_type, success_condition, failure_condition,
    spec, definitions, send_at
)
SELECT item.operation_id, item.tenant_id, item.resource_type, item.id, item.operation_type,
       item.success_condition, item.failure_condition, item.spec, item.definitions,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 5000000
FROM item
JOIN marked USING (operation_id)
RETURNING operation_id
