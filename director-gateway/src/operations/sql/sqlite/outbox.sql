-- What the outbox says of one operation, and which operation its resource carries.
SELECT o.tenant_id, o.resource_type, o.resource_id, o.operation_type, o.success_condition, o.failure_condition,
       a.id IS NOT NULL AS "exists", a.operation_id AS carries
FROM outbox o
LEFT JOIN application a ON a.id = o.resource_id
WHERE o.operation_id = ?1
