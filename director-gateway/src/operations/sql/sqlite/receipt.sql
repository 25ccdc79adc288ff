-- Records an applied outcome.
INSERT INTO receipt (
    operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
