-- $1: acceptances, a JSON array of arrays, with places and lengths in $2 for what is bytes. $3: outcomes, likewise.
-- $4: now. Returned is what was done: 1 accepted, 2 applied, 3 applied to nothing, since the resource is gone; with
-- the outcome on record.
BEGIN IMMEDIATE;

UPDATE application
SET ready = 0,
    error = NULL,
    status_condition = i.condition,
    status_timestamp = $4,
    operation_id = i.operation_id,
    operation_type = i.operation_type,
    deleted_at = CASE WHEN i.operation_type = 'Delete' THEN coalesce(deleted_at, $4) ELSE deleted_at END,
    updated_at = CASE WHEN i.operation_type = 'Delete' THEN updated_at ELSE $4 END,
    revision = application.revision + 1
FROM (
    SELECT unhex(value ->> 0) AS id, unhex(value ->> 1) AS tenant_id, value ->> 2 AS revision,
        unhex(value ->> 3) AS operation_id, value ->> 4 AS operation_type, value ->> 5 AS condition,
        unhex(value ->> 6) AS template_id, value ->> 7 AS template_revision
    FROM json_each($1)
) AS i
WHERE application.id = i.id
    AND application.tenant_id = i.tenant_id
    AND application.revision = i.revision
    AND (
        i.template_id IS NULL
        OR i.template_revision = (SELECT t.revision FROM application_template AS t WHERE t.id = i.template_id)
    );

-- Those that carry the operation are the ones that were marked.
INSERT INTO outbox (
    operation_id, tenant_id, resource_type, resource_id, operation_type, success_condition, failure_condition,
    spec, definitions, send_at
)
SELECT a.operation_id, a.tenant_id, i.value ->> 10, a.id, a.operation_type, i.value ->> 8, i.value ->> 9,
    substr($2, i.value ->> 11, i.value ->> 12), substr($2, i.value ->> 13, i.value ->> 14),
    CAST(unixepoch('subsec') * 1000000 AS integer) + 5000000
FROM json_each($1) AS i
CROSS JOIN application AS a ON a.id = unhex(i.value ->> 0)
WHERE a.operation_id = unhex(i.value ->> 3)
RETURNING 1 AS kind, operation_id AS operation, 0 AS succeeded, '' AS error, '' AS detail;

-- A resource that is gone: what a delete wanted, and what an update could not do.
INSERT INTO receipt (
    operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
)
SELECT o.operation_id, o.tenant_id, o.resource_type, o.resource_id, o.operation_type,
    CASE WHEN a.id IS NULL THEN o.operation_type = 'Delete' ELSE i.value ->> 1 END,
    CASE
        WHEN a.id IS NOT NULL THEN i.value ->> 2
        WHEN o.operation_type = 'Delete' THEN ''
        ELSE 'Application not found in director'
    END,
    CASE WHEN a.id IS NULL THEN '' ELSE i.value ->> 3 END,
    $4
FROM json_each($3) AS i
CROSS JOIN outbox AS o ON o.operation_id = unhex(i.value ->> 0)
LEFT JOIN application AS a ON a.id = o.resource_id
WHERE a.id IS NULL OR a.operation_id = o.operation_id;

-- Before what they are about may be deleted.
SELECT CASE WHEN a.id IS NULL THEN 3 ELSE 2 END AS kind, r.operation_id AS operation, r.succeeded, r.error, r.detail
FROM json_each($3) AS i
CROSS JOIN outbox AS o ON o.operation_id = unhex(i.value ->> 0)
CROSS JOIN receipt AS r ON r.operation_id = o.operation_id
LEFT JOIN application AS a ON a.id = o.resource_id;

DELETE FROM application
WHERE id IN (
    SELECT a.id
    FROM json_each($3) AS i
    CROSS JOIN outbox AS o ON o.operation_id = unhex(i.value ->> 0)
    CROSS JOIN application AS a ON a.id = o.resource_id
    WHERE a.operation_id = o.operation_id AND i.value ->> 1 AND o.success_condition IS NULL
);

UPDATE application
SET ready = 1,
    operation_id = NULL,
    error = CASE WHEN i.succeeded THEN NULL ELSE i.shown END,
    status_condition = CASE WHEN i.succeeded THEN i.success_condition ELSE i.failure_condition END,
    status_timestamp = $4,
    updated_at = CASE WHEN deleted_at IS NULL THEN $4 ELSE updated_at END,
    revision = revision + 1
FROM (
    SELECT o.operation_id, o.resource_id, o.success_condition, o.failure_condition, i.value ->> 1 AS succeeded,
        i.value ->> 4 AS shown
    FROM json_each($3) AS i
    CROSS JOIN outbox AS o ON o.operation_id = unhex(i.value ->> 0)
    -- Keeps the join apart: as part of the whole it would come after a scan of all applications.
    LIMIT -1
) AS i
WHERE application.id = i.resource_id AND application.operation_id = i.operation_id;

DELETE FROM outbox
WHERE operation_id IN (SELECT unhex(value ->> 0) FROM json_each($3))
    AND EXISTS (SELECT 1 FROM receipt AS r WHERE r.operation_id = outbox.operation_id);

COMMIT
