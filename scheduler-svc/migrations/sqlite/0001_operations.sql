-- Times are microseconds since 1970-01-01T00:00:00Z by this database's clock.

-- Operations that have not reached their end.
CREATE TABLE operation (
    id blob PRIMARY KEY NOT NULL,
    tenant blob NOT NULL,
    resource_type text NOT NULL,
    resource_id blob NOT NULL,
    -- The system that is called; operations of one system may only take a share of a worker.
    destination integer NOT NULL,
    -- JSON; webhooks are named by their ids and the hashes of their definitions.
    spec text NOT NULL,
    -- JSON: the progress of each webhook.
    webhooks text NOT NULL,
    -- JSON; set once the operation is concluded, and unchangeable.
    outcome text,
    -- Grows with every write.
    version integer NOT NULL,
    -- Grows with every grant.
    epoch integer NOT NULL,
    -- The session that was granted the operation; the nil UUID: nobody.
    holder blob NOT NULL,
    -- 1: the session before this one ended without giving the operation back.
    orphaned integer NOT NULL,
    -- While nobody holds it: when it is to be granted.
    due_at integer NOT NULL,
    recorded_at integer NOT NULL,
    updated_at integer NOT NULL
);

-- At most one operation in progress per resource.
CREATE UNIQUE INDEX operation_resource ON operation (resource_id, resource_type, tenant);
CREATE INDEX operation_tenant ON operation (tenant, id);
CREATE INDEX operation_lease ON operation (holder, destination, due_at);

-- Operations that have reached their end. Rows are only ever added.
CREATE TABLE operation_done (
    id blob PRIMARY KEY NOT NULL,
    tenant blob NOT NULL,
    resource_type text NOT NULL,
    resource_id blob NOT NULL,
    spec text NOT NULL,
    webhooks text NOT NULL,
    outcome text NOT NULL,
    succeeded integer NOT NULL,
    version integer NOT NULL,
    -- The epoch whose holder finished it.
    epoch integer NOT NULL,
    recorded_at integer NOT NULL,
    done_at integer NOT NULL
);

CREATE INDEX operation_done_tenant ON operation_done (tenant, id);
CREATE INDEX operation_done_resource ON operation_done (resource_id, id);
CREATE INDEX operation_done_failed ON operation_done (id) WHERE NOT succeeded;

-- What was tried. Of a run of equal answers the last end, the count and the next try move on; else rows are only
-- ever added.
CREATE TABLE attempt (
    operation_id blob NOT NULL,
    webhook_id blob NOT NULL,
    number integer NOT NULL,
    count integer NOT NULL,
    kind text NOT NULL,
    result text NOT NULL,
    started_at integer NOT NULL,
    ended_at integer NOT NULL,
    status_code integer,
    request text NOT NULL,
    response text NOT NULL,
    error text NOT NULL,
    next_attempt_at integer,
    PRIMARY KEY (operation_id, webhook_id, number)
) WITHOUT ROWID;

-- Definitions of webhooks as operations carry them, without their ids, stored once by content.
CREATE TABLE webhook_definition (
    -- SHA-256 of the definition, in hexadecimal.
    hash text PRIMARY KEY NOT NULL,
    -- JSON.
    definition text NOT NULL
);

-- Workers that hold leases.
CREATE TABLE session (
    id blob PRIMARY KEY NOT NULL,
    -- The same after a restart of the worker.
    instance_id text NOT NULL,
    -- When it last said something; forgotten a day later.
    seen_at integer NOT NULL,
    -- 0: ended, for good.
    expires_at integer NOT NULL
);

-- Holds what was granted to a session and never reached it.
INSERT INTO session (id, instance_id, seen_at, expires_at) VALUES (x'ffffffffffffffffffffffffffffffff', '', 0, 0);
