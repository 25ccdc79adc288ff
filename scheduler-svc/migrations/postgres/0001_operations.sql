-- Times are microseconds since 1970-01-01T00:00:00Z by this database's clock.

-- Operations that have not reached their end.
CREATE TABLE operation (
    id uuid PRIMARY KEY,
    tenant uuid NOT NULL,
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    -- The system that is called; operations of one system may only take a share of a worker.
    destination bigint NOT NULL,
    -- JSON; webhooks are named by their ids and the hashes of their definitions.
    spec text NOT NULL,
    -- JSON: the progress of each webhook.
    webhooks text NOT NULL,
    -- JSON; set once the operation is concluded, and unchangeable.
    outcome text,
    -- Grows with every write.
    version bigint NOT NULL,
    -- Grows with every grant.
    epoch bigint NOT NULL,
    -- The session that was granted the operation; the nil UUID: nobody.
    holder uuid NOT NULL,
    -- 1: the session before this one ended without giving the operation back.
    orphaned bigint NOT NULL,
    -- While nobody holds it: when it is to be granted.
    due_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (
    -- Room for saving progress in place: what is saved is in no index.
    fillfactor = 70,
    -- The table turns over all the time; its size is not what says when there is something to clean up.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

-- At most one operation in progress per resource.
CREATE UNIQUE INDEX operation_resource ON operation (resource_id, resource_type, tenant);
CREATE INDEX operation_tenant ON operation (tenant, id);
CREATE INDEX operation_lease ON operation (holder, destination, due_at);

-- Operations that have reached their end. Rows are only ever added.
CREATE TABLE operation_done (
    id uuid PRIMARY KEY,
    tenant uuid NOT NULL,
    resource_type text NOT NULL,
    resource_id uuid NOT NULL,
    spec text NOT NULL,
    webhooks text NOT NULL,
    outcome text NOT NULL,
    succeeded boolean NOT NULL,
    version bigint NOT NULL,
    -- The epoch whose holder finished it.
    epoch bigint NOT NULL,
    recorded_at bigint NOT NULL,
    done_at bigint NOT NULL
);

CREATE INDEX operation_done_tenant ON operation_done (tenant, id);
CREATE INDEX operation_done_resource ON operation_done (resource_id, id);
CREATE INDEX operation_done_failed ON operation_done (id) WHERE NOT succeeded;

-- What was tried. Of a run of equal answers the last end, the count and the next try move on; else rows are only
-- ever added.
CREATE TABLE attempt (
    operation_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    number bigint NOT NULL,
    count bigint NOT NULL,
    kind text NOT NULL,
    result text NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint NOT NULL,
    status_code bigint,
    request text NOT NULL,
    response text NOT NULL,
    error text NOT NULL,
    next_attempt_at bigint,
    PRIMARY KEY (operation_id, webhook_id, number)
);

-- Definitions of webhooks as operations carry them, without their ids, stored once by content.
CREATE TABLE webhook_definition (
    -- SHA-256 of the definition, in hexadecimal.
    hash text PRIMARY KEY,
    -- JSON.
    definition text NOT NULL
);

-- Workers that hold leases.
CREATE TABLE session (
    id uuid PRIMARY KEY,
    -- The same after a restart of the worker.
    instance_id text NOT NULL,
    -- When it last said something; forgotten a day later.
    seen_at bigint NOT NULL,
    -- 0: ended, for good.
    expires_at bigint NOT NULL
) WITH (fillfactor = 50);

-- Holds what was granted to a session and never reached it.
INSERT INTO session (id, instance_id, seen_at, expires_at) VALUES ('ffffffff-ffff-ffff-ffff-ffffffffffff', '', 0, 0);
