-- What the writer of the data path writes in one go: a round trip and a commit for a batch, whatever is in it, and a
-- statement for all of a kind. Returned is what was done: 1 accepted, 2 applied, 3 applied to nothing, since the
-- resource is gone; with the outcome on record.
--
-- A statement that the planner made while a table was empty must not read all of it once it is full. So none may scan
-- (the setting), and none is written as a join of which the planner could choose the order: `id = ANY (ARRAY[i.id])`
-- can be nothing but a look at an index for each item. Lists are unnested in a SELECT, which is cheaper than in a FROM.
CREATE FUNCTION write_batch(
    accept_resources uuid[], accept_kinds text[], accept_tenants uuid[], accept_revisions bigint[],
    accept_operations uuid[], accept_types text[], accept_conditions text[], accept_templates uuid[],
    accept_template_revisions bigint[], accept_successes text[], accept_failures text[], accept_specs bytea[],
    accept_definitions bytea[],
    -- Whether to wait for who holds a resource; else it is passed over.
    is_waiting boolean,
    end_operations uuid[], end_successes boolean[], end_errors text[], end_details text[],
    -- The errors as resources carry them.
    end_shown text[],
    at timestamptz
) RETURNS TABLE (kind bigint, operation uuid, succeeded boolean, error text, detail text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    applied bigint;
BEGIN
    IF is_waiting THEN
        -- Apart, so that what follows sees what those did who held it.
        PERFORM FROM unnest(accept_resources) AS i (id)
        CROSS JOIN LATERAL (SELECT FROM application AS a WHERE a.id = i.id FOR UPDATE OFFSET 0) AS a;
    END IF;
    IF cardinality(accept_resources) > 0 THEN
        RETURN QUERY
        WITH marked AS (
            UPDATE application AS a
            SET ready = false,
                error = NULL,
                status_condition = i.condition,
                status_timestamp = at,
                operation_id = i.operation_id,
                operation_type = i.operation_type,
                deleted_at = CASE WHEN i.operation_type = 'Delete' THEN coalesce(a.deleted_at, at) ELSE a.deleted_at END,
                updated_at = CASE WHEN i.operation_type = 'Delete' THEN a.updated_at ELSE at END,
                revision = a.revision + 1
            FROM (
                SELECT i.*, free.place
                FROM (
                    SELECT unnest(accept_resources) AS resource_id, unnest(accept_kinds) AS resource_type,
                        unnest(accept_tenants) AS tenant_id, unnest(accept_revisions) AS revision,
                        unnest(accept_operations) AS operation_id, unnest(accept_types) AS operation_type,
                        unnest(accept_conditions) AS condition, unnest(accept_templates) AS template_id,
                        unnest(accept_template_revisions) AS template_revision,
                        unnest(accept_successes) AS success_condition, unnest(accept_failures) AS failure_condition,
                        unnest(accept_specs) AS spec, unnest(accept_definitions) AS definitions
                ) AS i
                CROSS JOIN LATERAL (
                    SELECT a.ctid AS place FROM application AS a WHERE a.id = i.resource_id
                    FOR UPDATE SKIP LOCKED
                    OFFSET 0
                ) AS free
            ) AS i
            -- A row that is locked stays where it is.
            WHERE a.ctid = i.place
                AND a.tenant_id = i.tenant_id
                AND a.revision = i.revision
                AND (
                    i.template_id IS NULL
                    OR i.template_revision = (
                        SELECT t.revision FROM application_template AS t WHERE t.id = i.template_id
                    )
                )
            RETURNING i.*
        )
        INSERT INTO outbox AS o (
            operation_id, tenant_id, resource_type, resource_id, operation_type, success_condition,
            failure_condition, spec, definitions, send_at
        )
        SELECT m.operation_id, m.tenant_id, m.resource_type, m.resource_id, m.operation_type, m.success_condition,
            m.failure_condition, m.spec, m.definitions,
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 5000000
        FROM marked AS m
        RETURNING 1::bigint, o.operation_id, false, ''::text, ''::text;
    END IF;

    IF cardinality(end_operations) = 0 THEN
        RETURN;
    END IF;
    -- Whoever else applies the same outcome waits for the application, and then finds that it carries no operation.
    RETURN QUERY
    WITH box AS (
        SELECT i.*, o.*
        FROM (
            SELECT unnest(end_operations) AS operation, unnest(end_successes) AS succeeded,
                unnest(end_errors) AS error, unnest(end_details) AS detail, unnest(end_shown) AS shown
        ) AS i
        CROSS JOIN LATERAL (
            SELECT o.operation_id, o.tenant_id, o.resource_type, o.resource_id, o.operation_type, o.success_condition,
                o.failure_condition
            FROM outbox AS o
            WHERE o.operation_id = i.operation
            OFFSET 0
        ) AS o
    ), marked AS (
        UPDATE application AS a
        SET ready = true,
            operation_id = NULL,
            error = CASE WHEN b.succeeded THEN NULL ELSE b.shown END,
            status_condition = CASE WHEN b.succeeded THEN b.success_condition ELSE b.failure_condition END,
            status_timestamp = at,
            updated_at = CASE WHEN a.deleted_at IS NULL THEN at ELSE a.updated_at END,
            revision = a.revision + 1
        FROM box AS b
        WHERE a.id = ANY (ARRAY[b.resource_id]) AND a.operation_id = b.operation_id
            AND NOT (b.succeeded AND b.success_condition IS NULL)
        RETURNING b.*
    ), deleted AS (
        DELETE FROM application AS a
        USING box AS b
        WHERE a.id = ANY (ARRAY[b.resource_id]) AND a.operation_id = b.operation_id
            AND b.succeeded AND b.success_condition IS NULL
        RETURNING b.*
    ), done AS (
        SELECT m.* FROM marked AS m UNION ALL SELECT d.* FROM deleted AS d
    ), sent AS (
        DELETE FROM outbox AS o USING done AS d WHERE o.operation_id = ANY (ARRAY[d.operation_id])
    )
    INSERT INTO receipt AS r (
        operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
    )
    SELECT d.operation_id, d.tenant_id, d.resource_type, d.resource_id, d.operation_type, d.succeeded, d.error,
        d.detail, at
    FROM done AS d
    RETURNING 2::bigint, r.operation_id, r.succeeded, r.error, r.detail;
    GET DIAGNOSTICS applied = ROW_COUNT;
    IF applied = cardinality(end_operations) THEN
        RETURN;
    END IF;
    -- Of an application that is gone it is known what a delete wanted, and what an update could not do. One that
    -- carries another operation, or none, says nothing.
    RETURN QUERY
    WITH sent AS (
        DELETE FROM outbox AS o
        USING (SELECT unnest(end_operations) AS operation) AS i
        WHERE o.operation_id = ANY (ARRAY[i.operation])
            AND (SELECT a.id FROM application AS a WHERE a.id = o.resource_id) IS NULL
        RETURNING o.operation_id, o.tenant_id, o.resource_type, o.resource_id, o.operation_type
    )
    INSERT INTO receipt AS r (
        operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
    )
    SELECT s.operation_id, s.tenant_id, s.resource_type, s.resource_id, s.operation_type, s.operation_type = 'Delete',
        CASE WHEN s.operation_type = 'Delete' THEN '' ELSE 'Application not found in director' END, '', at
    FROM sent AS s
    RETURNING 3::bigint, r.operation_id, r.succeeded, r.error, r.detail;
END
$$;
