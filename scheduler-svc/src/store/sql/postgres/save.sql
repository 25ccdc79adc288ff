UPDATE operation AS o
SET version = o.version + 1,
    webhooks = i.webhooks,
    outcome = coalesce(o.outcome, i.outcome),
    holder = CASE WHEN i.release_for IS NULL THEN o.holder ELSE '00000000-0000-0000-0000-000000000000' END,
    due_at = coalesce($7 + i.release_for, o.due_at),
    updated_at = $7
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
    AS i (id, epoch, version, webhooks, outcome, release_for)
WHERE o.id = i.id AND o.epoch = i.epoch AND o.version = i.version
    AND (o.outcome IS NULL OR i.outcome IS NULL OR i.outcome = o.outcome)
RETURNING o.id, o.version
