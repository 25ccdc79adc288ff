-- Outcomes applied earlier: ?1 operations.
SELECT r.operation_id, r.succeeded, r.error, r.detail
FROM json_each(?1) AS i
CROSS JOIN receipt AS r ON r.operation_id = unhex(i.value)
