-- Receipts are found by their operation; of a resource only its deletion is asked for. So what is no deletion touches
-- no page that its resource decides. The column `seq` stays for replicas of the version before, which order by it.
ALTER TABLE receipt
    DROP CONSTRAINT receipt_pkey,
    DROP CONSTRAINT receipt_operation_id_key,
    ADD PRIMARY KEY (operation_id);
DROP INDEX receipt_by_resource;
CREATE INDEX receipt_of_deletion ON receipt (resource_id, tenant_id) WHERE succeeded AND operation_type = 'Delete';
