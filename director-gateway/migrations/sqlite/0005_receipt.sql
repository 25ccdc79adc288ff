-- Receipts are found by their operation; of a resource only its deletion is asked for. So they lie in the order of
-- their operations, which come one after another, and what is no deletion touches no page that its resource decides.
ALTER TABLE receipt RENAME TO receipt_by_seq;
CREATE TABLE receipt (
    operation_id blob PRIMARY KEY NOT NULL,
    tenant_id blob NOT NULL,
    resource_type text NOT NULL,
    resource_id blob NOT NULL,
    operation_type text NOT NULL,
    succeeded integer NOT NULL,
    error text NOT NULL,
    detail text NOT NULL,
    finalized_at text NOT NULL
) WITHOUT ROWID;
INSERT INTO receipt (
    operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
)
SELECT operation_id, tenant_id, resource_type, resource_id, operation_type, succeeded, error, detail, finalized_at
FROM receipt_by_seq
ORDER BY operation_id;
DROP TABLE receipt_by_seq;
CREATE INDEX receipt_of_deletion ON receipt (resource_id, tenant_id) WHERE succeeded AND operation_type = 'Delete';
