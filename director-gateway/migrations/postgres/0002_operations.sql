-- The gateway's share in operations: what it has accepted, and what came of it.

ALTER TABLE application ADD COLUMN operation_type text;

-- Definitions of webhooks as operations carry them, without their ids, stored once by content.
CREATE TABLE webhook_definition (
    -- SHA-256 of the body.
    hash bytea PRIMARY KEY,
    -- binnacle.common.v1.Webhook.
    body bytea NOT NULL
);

-- Accepted operations whose outcome is not applied yet. A row is deleted with its finalization and never
-- earlier, so a scheduler that lost its last commits gets its operations again.
CREATE TABLE outbox (
    operation_id uuid PRIMARY KEY,
    tenant_id uuid NOT NULL,
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    operation_type text NOT NULL,
    -- The status condition that each outcome gives the resource; null: the resource is deleted.
    success_condition text,
    failure_condition text NOT NULL,
    -- binnacle.common.v1.OperationSpec without its webhooks.
    spec bytea NOT NULL,
    -- Its webhooks in order: 16 bytes of id and 32 of the definition's hash each.
    definitions bytea NOT NULL,
    -- When it is sent to a scheduler (again): microseconds since 1970 by the database's clock.
    send_at bigint NOT NULL,
    -- How often it was claimed for sending.
    sends integer NOT NULL DEFAULT 0
);
CREATE INDEX outbox_by_send_at ON outbox (send_at);

-- Outcomes that were applied, kept as long as operations are.
CREATE TABLE receipt (
    -- Grows with every receipt of a resource: finalizations of one resource follow one another.
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id uuid NOT NULL UNIQUE,
    tenant_id uuid NOT NULL,
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    operation_type text NOT NULL,
    succeeded boolean NOT NULL,
    error text NOT NULL,
    detail text NOT NULL,
    finalized_at timestamptz NOT NULL
);
CREATE INDEX receipt_by_resource ON receipt (resource_id, seq DESC);
