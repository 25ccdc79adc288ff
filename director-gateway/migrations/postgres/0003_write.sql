-- Room for marking an application and giving it its outcome in place: neither is in an index.
ALTER TABLE application SET (fillfactor = 80);
-- The table turns over all the time; its size is not what says when there is something to clean up.
ALTER TABLE outbox SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- What the writer of the data path writes in one go: a round trip and a commit for a batch, whatever is in it.
-- Rows are found one by one, by their keys: of a join with an array the planner would make a scan of the whole
-- table if it saw the table empty once. Returned is what was done: 1 accepted, 2 applied, 3 applied to nothing,
-- since the resource is gone; with the outcome on record.
CREATE FUNCTION write_operations(
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
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    item record;
    box record;
BEGIN
    kind := 1;
    succeeded := false;
    error := '';
    detail := '';
    FOR item IN
        SELECT * FROM unnest(
            accept_resources, accept_kinds, accept_tenants, accept_revisions, accept_operations, accept_types,
            accept_conditions, accept_templates, accept_template_revisions, accept_successes, accept_failures,
            accept_specs, accept_definitions
        ) AS i (
            resource_id, resource_type, tenant_id, revision, operation_id, operation_type, condition, template_id,
            template_revision, success_condition, failure_condition, spec, definitions
        )
    LOOP
        IF is_waiting THEN
            PERFORM FROM application AS a WHERE a.id = item.resource_id FOR UPDATE;
        ELSE
            PERFORM FROM application AS a WHERE a.id = item.resource_id FOR UPDATE SKIP LOCKED;
        END IF;
        CONTINUE WHEN NOT FOUND;
        UPDATE application AS a
        SET ready = false,
            error = NULL,
            status_condition = item.condition,
            status_timestamp = at,
            operation_id = item.operation_id,
            operation_type = item.operation_type,
            deleted_at = CASE WHEN item.operation_type = 'Delete' THEN coalesce(a.deleted_at, at) ELSE a.deleted_at END,
            updated_at = CASE WHEN item.operation_type = 'Delete' THEN a.updated_at ELSE at END,
            revision = a.revision + 1
        WHERE a.id = item.resource_id
            AND a.tenant_id = item.tenant_id
            AND a.revision = item.revision
            AND (
                item.template_id IS NULL
                OR item.template_revision = (
                    SELECT t.revision FROM application_template AS t WHERE t.id = item.template_id
                )
            );
        CONTINUE WHEN NOT FOUND;
        INSERT INTO outbox (
            operation_id, tenant_id, resource_type, resource_id, operation_type, success_condition,
            failure_condition, spec, definitions, send_at
        )
        VALUES (
            item.operation_id, item.tenant_id, item.resource_type, item.resource_id, item.operation_type,
            item.success_condition, item.failure_condition, item.spec, item.definitions,
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 5000000
        );
        operation := item.operation_id;
        RETURN NEXT;
    END LOOP;

    FOR item IN
        SELECT * FROM unnest(end_operations, end_successes, end_errors, end_details, end_shown)
            AS i (operation_id, succeeded, error, detail, shown)
    LOOP
        SELECT * INTO box FROM outbox AS o WHERE o.operation_id = item.operation_id FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        operation := item.operation_id;
        succeeded := item.succeeded;
        error := item.error;
        detail := item.detail;
        IF item.succeeded AND box.success_condition IS NULL THEN
            DELETE FROM application AS a WHERE a.id = box.resource_id AND a.operation_id = box.operation_id;
        ELSE
            UPDATE application AS a
            SET ready = true,
                operation_id = NULL,
                error = CASE WHEN item.succeeded THEN NULL ELSE item.shown END,
                status_condition = CASE WHEN item.succeeded THEN box.success_condition ELSE box.failure_condition END,
                status_timestamp = at,
                updated_at = CASE WHEN a.deleted_at IS NULL THEN at ELSE a.updated_at END,
                revision = a.revision + 1
            WHERE a.id = box.resource_id AND a.operation_id = box.operation_id;
        END IF;
        kind := 2;
        IF NOT FOUND THEN
            PERFORM FROM application AS a WHERE a.id = box.resource_id;
            -- It carries another operation, or none: nothing is known of this one.
            CONTINUE WHEN FOUND;
            -- What a delete wanted, and what an update could not do.
            kind := 3;
            succeeded := box.operation_type = 'Delete';
            error := CASE WHEN succeeded THEN '' ELSE 'Application not found in director' END;
            detail := '';
        END IF;
        DELETE FROM outbox AS o WHERE o.operation_id = item.operation_id;
        INSERT INTO receipt (
            operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail,
            finalized_at
        )
        VALUES (
            operation, box.tenant_id, box.resource_type, box.resource_id, box.operation_type, succeeded, error,
            detail, at
        );
        RETURN NEXT;
    END LOOP;
END
$$;
