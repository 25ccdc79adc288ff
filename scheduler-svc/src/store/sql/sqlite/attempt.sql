INSERT INTO attempt (
    operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request, response,
    error, next_attempt_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (operation_id, webhook_id, number) DO UPDATE
SET count = excluded.count, ended_at = excluded.ended_at, next_attempt_at = excluded.next_attempt_at
WHERE attempt.count < excluded.count
