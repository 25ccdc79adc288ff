-- What the writer of the data path writes in one go: a round trip and a commit for a batch, whatever is in it.
-- Rows are updated and deleted one by one, by their keys: of a join with an array the planner would make a scan
-- of the whole table if it saw the table empty once. Returned is what was written: 1 saved, 2 released, 3 ended,
-- 4 recorded, with the version reached.
CREATE FUNCTION write_operations(
    save_ids uuid[], save_epochs bigint[], save_versions bigint[], save_webhooks text[], save_outcomes text[],
    save_releases bigint[],
    attempt_operations uuid[], attempt_epochs bigint[], attempt_versions bigint[], attempt_webhooks uuid[],
    attempt_numbers bigint[], attempt_counts bigint[], attempt_kinds text[], attempt_results text[],
    attempt_starts bigint[], attempt_ends bigint[], attempt_codes bigint[], attempt_requests text[],
    attempt_responses text[], attempt_errors text[], attempt_nexts bigint[],
    release_ids uuid[], release_epochs bigint[], release_holders uuid[], release_retries bigint[],
    end_ids uuid[], end_epochs bigint[], end_outcomes text[], end_closings bigint[],
    record_ids uuid[], record_tenants uuid[], record_types text[], record_resources uuid[],
    record_destinations bigint[], record_specs text[], record_webhooks text[], record_epochs bigint[],
    record_holders uuid[], record_times bigint[],
    at bigint
) RETURNS TABLE (kind bigint, written uuid, reached bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    item record;
    saved uuid[];
    recorded uuid[];
    ended uuid[];
BEGIN
    kind := 1;
    FOR item IN
        SELECT * FROM unnest(save_ids, save_epochs, save_versions, save_webhooks, save_outcomes, save_releases)
            AS i (id, epoch, version, webhooks, outcome, release_for)
    LOOP
        UPDATE operation AS o
        SET version = o.version + 1,
            webhooks = item.webhooks,
            outcome = coalesce(o.outcome, item.outcome),
            holder = CASE WHEN item.release_for IS NULL THEN o.holder ELSE '00000000-0000-0000-0000-000000000000' END,
            due_at = coalesce(at + item.release_for, o.due_at),
            updated_at = at
        WHERE o.id = item.id AND o.epoch = item.epoch AND o.version = item.version
            AND (o.outcome IS NULL OR item.outcome IS NULL OR item.outcome = o.outcome)
        RETURNING o.version INTO reached;
        IF FOUND THEN
            written := item.id;
            saved := array_append(saved, item.id);
            RETURN NEXT;
        END IF;
    END LOOP;
    IF saved IS NOT NULL AND cardinality(attempt_operations) > 0 THEN
        INSERT INTO attempt AS a (
            operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request,
            response, error, next_attempt_at
        )
        SELECT i.operation_id, i.webhook_id, i.number, i.count, i.kind, i.result, i.started_at, i.ended_at,
            i.status_code, i.request, i.response, i.error, i.next_attempt_at
        FROM unnest(
            attempt_operations, attempt_webhooks, attempt_numbers, attempt_counts, attempt_kinds, attempt_results,
            attempt_starts, attempt_ends, attempt_codes, attempt_requests, attempt_responses, attempt_errors,
            attempt_nexts
        ) AS i (
            operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request,
            response, error, next_attempt_at
        )
        WHERE i.operation_id = ANY (saved)
        ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
        SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
        WHERE a.count < excluded.count;
    END IF;

    kind := 2;
    FOR item IN
        SELECT * FROM unnest(release_ids, release_epochs, release_holders, release_retries)
            AS i (id, epoch, holder, retry_in)
    LOOP
        UPDATE operation AS o
        SET version = o.version + 1, holder = item.holder, due_at = at + item.retry_in, updated_at = at
        WHERE o.id = item.id AND o.epoch = item.epoch
        RETURNING o.version INTO reached;
        IF FOUND THEN
            written := item.id;
            RETURN NEXT;
        END IF;
    END LOOP;

    kind := 3;
    FOR item IN
        SELECT * FROM unnest(end_ids, end_epochs, end_outcomes, end_closings) AS i (id, epoch, outcome, closing)
    LOOP
        WITH ended AS (
            DELETE FROM operation AS o
            WHERE o.id = item.id AND o.epoch = item.epoch AND (o.outcome IS NOT NULL OR item.closing = 1)
            RETURNING o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks,
                coalesce(item.outcome, o.outcome) AS outcome, o.version + 1 AS version,
                o.epoch + item.closing AS epoch, o.recorded_at
        )
        INSERT INTO operation_done AS d (
            id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at,
            done_at
        )
        SELECT e.id, e.tenant, e.resource_type, e.resource_id, e.spec, e.webhooks, e.outcome,
            e.outcome = '"Succeeded"', e.version, e.epoch, e.recorded_at, at
        FROM ended AS e
        ON CONFLICT (id) DO NOTHING
        RETURNING d.version INTO reached;
        IF FOUND THEN
            written := item.id;
            RETURN NEXT;
        END IF;
    END LOOP;

    IF cardinality(record_ids) = 0 THEN
        RETURN;
    END IF;
    -- What has ended is known by a look at its key, which no plan can turn into a scan.
    WITH new AS (
        INSERT INTO operation AS o (
            id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
            due_at, recorded_at, updated_at
        )
        SELECT i.id, i.tenant, i.resource_type, i.resource_id, i.destination, i.spec, i.webhooks, 1, i.epoch,
            i.holder, 0, i.now, i.now, i.now
        FROM unnest(
            record_ids, record_tenants, record_types, record_resources, record_destinations, record_specs,
            record_webhooks, record_epochs, record_holders, record_times
        ) AS i (
            id, tenant, resource_type, resource_id, destination, spec, webhooks, epoch, holder, now
        )
        WHERE (SELECT d.id FROM operation_done AS d WHERE d.id = i.id) IS NULL
        ON CONFLICT DO NOTHING
        RETURNING o.id
    )
    SELECT array_agg(new.id) INTO recorded FROM new;
    -- What another replica has ended since the statement above began to look: a repeat that came at that moment.
    SELECT array_agg(i.id) INTO ended
    FROM unnest(recorded) AS i (id)
    WHERE (SELECT d.id FROM operation_done AS d WHERE d.id = i.id) IS NOT NULL;
    IF ended IS NOT NULL THEN
        DELETE FROM operation AS o WHERE o.id = ANY (ended);
    END IF;
    RETURN QUERY
        SELECT 4::bigint, i.id, 1::bigint FROM unnest(recorded) AS i (id)
        WHERE ended IS NULL OR i.id <> ALL (ended);
END
$$;
