-- What the writer of the data path writes in one go: a round trip and a commit for a batch, whatever is in it, and a
-- statement for all of a kind. Returned is what was written: 1 saved, 2 released, 3 ended, 4 recorded, with the
-- version reached.
--
-- A statement that the planner made while a table was empty must not read all of it once it is full. So none may scan
-- (the setting), and none is written as a join of which the planner could choose the order: `id = ANY (ARRAY[i.id])`
-- can be nothing but a look at an index for each item, and `= ANY (ARRAY(SELECT ...))` nothing but a look at a list that
-- was made before; after `IN (SELECT ...)` the lists of what was tried were gone over for each operation that was saved.
-- Lists are unnested in a SELECT, which is cheaper than in a FROM.
CREATE OR REPLACE FUNCTION write_batch(
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
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $$
#variable_conflict use_column
DECLARE
    recorded uuid[];
    kept bigint;
BEGIN
    IF cardinality(save_ids) > 0 THEN
        RETURN QUERY
        WITH saved AS (
            UPDATE operation AS o
            SET version = o.version + 1,
                webhooks = i.webhooks,
                outcome = coalesce(o.outcome, i.outcome),
                holder = CASE WHEN i.release_for IS NULL THEN o.holder ELSE '00000000-0000-0000-0000-000000000000' END,
                due_at = coalesce(at + i.release_for, o.due_at),
                updated_at = at
            FROM (
                SELECT unnest(save_ids) AS id, unnest(save_epochs) AS epoch, unnest(save_versions) AS version,
                    unnest(save_webhooks) AS webhooks, unnest(save_outcomes) AS outcome,
                    unnest(save_releases) AS release_for
            ) AS i
            WHERE o.id = ANY (ARRAY[i.id]) AND o.epoch = i.epoch AND o.version = i.version
                AND (o.outcome IS NULL OR i.outcome IS NULL OR i.outcome = o.outcome)
            RETURNING o.id, o.version
        ), tried AS (
            INSERT INTO attempt AS a (
                operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request,
                response, error, next_attempt_at
            )
            SELECT i.*
            FROM (
                SELECT unnest(attempt_operations) AS operation_id, unnest(attempt_webhooks),
                    unnest(attempt_numbers), unnest(attempt_counts), unnest(attempt_kinds), unnest(attempt_results),
                    unnest(attempt_starts), unnest(attempt_ends), unnest(attempt_codes), unnest(attempt_requests),
                    unnest(attempt_responses), unnest(attempt_errors), unnest(attempt_nexts)
            ) AS i
            WHERE i.operation_id = ANY (ARRAY(SELECT s.id FROM saved AS s))
            ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
            SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
            WHERE a.count < excluded.count
        )
        SELECT 1::bigint, s.id, s.version FROM saved AS s;
    END IF;

    IF cardinality(release_ids) > 0 THEN
        RETURN QUERY
        UPDATE operation AS o
        SET version = o.version + 1, holder = i.holder, due_at = at + i.retry_in, updated_at = at
        FROM (
            SELECT unnest(release_ids) AS id, unnest(release_epochs) AS epoch, unnest(release_holders) AS holder,
                unnest(release_retries) AS retry_in
        ) AS i
        WHERE o.id = ANY (ARRAY[i.id]) AND o.epoch = i.epoch
        RETURNING 2::bigint, o.id, o.version;
    END IF;

    IF cardinality(end_ids) > 0 THEN
        RETURN QUERY
        WITH ended AS (
            DELETE FROM operation AS o
            USING (
                SELECT unnest(end_ids) AS id, unnest(end_epochs) AS epoch, unnest(end_outcomes) AS outcome,
                    unnest(end_closings) AS closing
            ) AS i
            WHERE o.id = ANY (ARRAY[i.id]) AND o.epoch = i.epoch AND (o.outcome IS NOT NULL OR i.closing = 1)
            RETURNING o.id, o.tenant, o.resource_type, o.resource_id, o.spec, o.webhooks,
                coalesce(i.outcome, o.outcome) AS outcome, o.version + 1 AS version, o.epoch + i.closing AS epoch,
                o.recorded_at
        )
        INSERT INTO operation_done AS d (
            id, tenant, resource_type, resource_id, spec, webhooks, outcome, succeeded, version, epoch, recorded_at,
            done_at
        )
        SELECT e.id, e.tenant, e.resource_type, e.resource_id, e.spec, e.webhooks, e.outcome,
            e.outcome = '"Succeeded"', e.version, e.epoch, e.recorded_at, at
        FROM ended AS e
        ON CONFLICT (id) DO NOTHING
        RETURNING 3::bigint, d.id, d.version;
    END IF;

    IF cardinality(record_ids) = 0 THEN
        RETURN;
    END IF;
    WITH new AS (
        INSERT INTO operation AS o (
            id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
            due_at, recorded_at, updated_at
        )
        SELECT i.id, i.tenant, i.resource_type, i.resource_id, i.destination, i.spec, i.webhooks, 1, i.epoch,
            i.holder, 0, i.now, i.now, i.now
        FROM (
            SELECT unnest(record_ids) AS id, unnest(record_tenants) AS tenant, unnest(record_types) AS resource_type,
                unnest(record_resources) AS resource_id, unnest(record_destinations) AS destination,
                unnest(record_specs) AS spec, unnest(record_webhooks) AS webhooks, unnest(record_epochs) AS epoch,
                unnest(record_holders) AS holder, unnest(record_times) AS now
        ) AS i
        WHERE (SELECT d.id FROM operation_done AS d WHERE d.id = i.id) IS NULL
        ON CONFLICT DO NOTHING
        RETURNING o.id
    )
    SELECT array_agg(n.id) INTO recorded FROM new AS n;
    -- What another replica has ended since the statement above began to look: a repeat that came at that moment.
    RETURN QUERY
    SELECT 4::bigint, i.id, 1::bigint
    FROM unnest(recorded) AS i (id)
    WHERE (SELECT d.id FROM operation_done AS d WHERE d.id = i.id) IS NULL;
    GET DIAGNOSTICS kept = ROW_COUNT;
    IF kept < cardinality(recorded) THEN
        DELETE FROM operation AS o
        USING unnest(recorded) AS i (id)
        WHERE o.id = ANY (ARRAY[i.id]) AND (SELECT d.id FROM operation_done AS d WHERE d.id = i.id) IS NOT NULL;
    END IF;
END
$$;
