SELECT operation_id, webhook_id, number, count, kind, result, started_at, ended_at, status_code, request, response,
    error, next_attempt_at
FROM attempt
WHERE operation_id = $1
ORDER BY started_at, webhook_id, number
