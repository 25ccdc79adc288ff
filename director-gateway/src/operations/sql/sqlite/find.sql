-- An operation that is not finalized yet, and whether its application is gone or still carries it.
SELECT o.rowid, o.operation_type, o.resource_id, o.success_condition, o.failure_condition, a.id IS NULL,
    a.operation_id IS o.operation_id
FROM outbox AS o
LEFT JOIN application AS a ON a.id = o.resource_id
WHERE o.operation_id = ?1
