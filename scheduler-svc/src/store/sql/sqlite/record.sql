INSERT INTO operation (
    id, tenant, resource_type, resource_id, destination, spec, webhooks, version, epoch, holder, orphaned,
    due_at, recorded_at, updated_at
)
SELECT unhex(i.value ->> 0), unhex(i.value ->> 1), i.value ->> 2, unhex(i.value ->> 3), i.value ->> 4,
    i.value ->> 5, i.value ->> 6, 1, i.value ->> 7, unhex(i.value ->> 8), 0, i.value ->> 9, i.value ->> 9,
    i.value ->> 9
FROM json_each(?1) AS i
WHERE NOT EXISTS (SELECT 1 FROM operation_done AS d WHERE d.id = unhex(i.value ->> 0))
ON CONFLICT DO NOTHING
RETURNING id
