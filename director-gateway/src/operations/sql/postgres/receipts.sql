-- Outcomes applied earlier: $1 operations.
SELECT operation_id, succeeded, error, detail
FROM receipt
WHERE operation_id = ANY ($1::uuid[])
