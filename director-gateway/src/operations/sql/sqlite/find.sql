-- An operation that is not finalized yet, its application if there still is one, and whether that carries it.
SELECT o.rowid, o.operation_type, o.success_condition, o.failure_condition, a.rowid,
    a.operation_id IS o.operation_id
FROM outbox AS o
LEFT JOIN application AS a ON a.id = o.resource_id
WHERE o.operation_id = ?1
