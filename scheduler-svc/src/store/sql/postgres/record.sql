INSERT INTO operation (
    id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
    due_at, recorded_at, updated_at
)
SELECT i.id, i.tenant, i.resource_type, i.resource_id, i.destination, i.spec, i.webhooks, 1, i.epoch, i.holder, 0,
    i.now, i.now, i.now
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::uuid[],
    $10::bigint[]
) AS i (id, tenant, resource_type, resource_id, destination, spec, webhooks, epoch, holder, now)
WHERE NOT EXISTS (SELECT FROM operation_done AS d WHERE d.id = i.id)
ON CONFLICT DO NOTHING
RETURNING id
