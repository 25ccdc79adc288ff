INSERT INTO attempt AS a (
    operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request, response,
    error, next_attempt_at
)
SELECT *
FROM unnest(
    $1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
    $9::bigint[], $10::text[], $11::text[], $12::text[], $13::bigint[]
)
ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
WHERE a.count < excluded.count
