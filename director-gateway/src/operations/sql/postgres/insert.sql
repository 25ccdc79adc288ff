-- Records one accepted operation.
INSERT INTO outbox (
    operation_id, tenant_id, resource_type, resource_id, operation_type, success_condition, failure_condition,
    spec, definitions, send_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + 5000000)
