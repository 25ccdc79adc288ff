INSERT INTO attempt (
    operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request, response,
    error, next_attempt_at
)
SELECT unhex(i.value ->> 0), unhex(i.value ->> 1), i.value ->> 2, i.value ->> 3, i.value ->> 4, i.value ->> 5,
    i.value ->> 6, i.value ->> 7, i.value ->> 8, i.value ->> 9, i.value ->> 10, i.value ->> 11, i.value ->> 12
FROM json_each(?1) AS i
WHERE true
ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
WHERE attempt.count < excluded.count
