-- The registry: tenants, applications, their templates, webhooks and labels.

CREATE TABLE tenant (
    id blob PRIMARY KEY,
    external_id text NOT NULL UNIQUE,
    name text NOT NULL,
    type text NOT NULL,
    provider text NOT NULL
);
CREATE INDEX tenant_by_name ON tenant (name, id);

CREATE TABLE tenant_parent (
    tenant_id blob NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    parent_id blob NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    position integer NOT NULL,
    PRIMARY KEY (tenant_id, parent_id)
);
CREATE INDEX tenant_parent_by_parent ON tenant_parent (parent_id);

CREATE TABLE application_template (
    id blob PRIMARY KEY,
    name text NOT NULL,
    -- The region label as JSON text, empty without one: a name is unique per region.
    region text NOT NULL,
    description text,
    application_namespace text,
    application_input text NOT NULL,
    placeholders text NOT NULL,
    access_level text NOT NULL,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    -- Bumped by every change of the template and of its webhooks and labels.
    revision integer NOT NULL DEFAULT 1,
    CONSTRAINT application_template_name UNIQUE (name, region)
);

CREATE TABLE application (
    id blob PRIMARY KEY,
    tenant_id blob NOT NULL REFERENCES tenant (id) ON DELETE CASCADE,
    name text NOT NULL,
    normalised_name text NOT NULL,
    system_number text,
    local_tenant_id text,
    base_url text,
    provider_name text,
    description text,
    integration_system_id blob,
    application_template_id blob REFERENCES application_template (id),
    health_check_url text,
    application_namespace text,
    system_status text,
    ready boolean NOT NULL,
    created_at text NOT NULL,
    updated_at text,
    deleted_at text,
    -- JSON text as clients see it.
    error text,
    status_condition text NOT NULL,
    status_timestamp text NOT NULL,
    -- The operation in progress.
    operation_id blob,
    -- Bumped by every change of the application and of its webhooks and labels.
    revision integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX application_name ON application (tenant_id, normalised_name) WHERE system_number IS NULL;
CREATE INDEX application_by_tenant ON application (tenant_id, id);
CREATE INDEX application_by_local_tenant ON application (tenant_id, local_tenant_id) WHERE local_tenant_id IS NOT NULL;
CREATE INDEX application_by_system_number ON application (tenant_id, system_number) WHERE system_number IS NOT NULL;
CREATE INDEX application_by_template ON application (application_template_id) WHERE application_template_id IS NOT NULL;

CREATE TABLE webhook (
    id blob PRIMARY KEY,
    application_id blob REFERENCES application (id) ON DELETE CASCADE,
    application_template_id blob REFERENCES application_template (id) ON DELETE CASCADE,
    type text NOT NULL,
    mode text,
    correlation_id_key text,
    retry_interval integer,
    timeout integer,
    url text,
    url_template text,
    input_template text,
    header_template text,
    output_template text,
    status_template text,
    created_at text NOT NULL,
    CONSTRAINT webhook_owner CHECK ((application_id IS NULL) <> (application_template_id IS NULL)),
    CONSTRAINT webhook_of_application UNIQUE (application_id, type),
    CONSTRAINT webhook_of_template UNIQUE (application_template_id, type)
);

CREATE TABLE label (
    id blob PRIMARY KEY,
    tenant_id blob REFERENCES tenant (id) ON DELETE CASCADE,
    application_id blob REFERENCES application (id) ON DELETE CASCADE,
    application_template_id blob REFERENCES application_template (id) ON DELETE CASCADE,
    key text NOT NULL,
    value text NOT NULL,
    CONSTRAINT label_owner CHECK ((tenant_id IS NOT NULL) + (application_id IS NOT NULL) + (application_template_id IS NOT NULL) = 1),
    CONSTRAINT label_of_tenant UNIQUE (tenant_id, key),
    CONSTRAINT label_of_application UNIQUE (application_id, key),
    CONSTRAINT label_of_template UNIQUE (application_template_id, key)
);
