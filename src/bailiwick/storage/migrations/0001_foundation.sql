-- The ground: tenants, projects, keys, providers, the ledger, the audit log, and who may see which row.
--
-- Rules that every later migration keeps: a table with a tenant has ENABLE and FORCE ROW LEVEL SECURITY; every policy
-- names its role, since membership alone would make another role's policy apply; tenant policies read the setting in
-- a sub-select (evaluated once a query) and without `missing_ok`, so that no tenant set is an error and never "all".

CREATE TABLE installation (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    master_check text NOT NULL,
    public_url   text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);

-- One row whose value every change of what processes cache moves on, in the change's own transaction.
CREATE TABLE epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    value    bigint NOT NULL DEFAULT 1
);
INSERT INTO epoch DEFAULT VALUES;

CREATE TABLE tenants (
    id              uuid PRIMARY KEY,
    slug            text NOT NULL UNIQUE,
    name            text NOT NULL,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    default_project uuid,
    created_at      timestamptz NOT NULL DEFAULT now(),
    created_by      text NOT NULL
);

CREATE TABLE projects (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    slug             text NOT NULL UNIQUE,
    name             text NOT NULL,
    status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    limits           jsonb NOT NULL DEFAULT '{}',
    aliases          jsonb NOT NULL DEFAULT '{}',
    require_end_user boolean NOT NULL DEFAULT false,
    cors_origins     text[] NOT NULL DEFAULT '{}',
    on_disconnect    text NOT NULL DEFAULT 'abort' CHECK (on_disconnect IN ('abort', 'drain')),
    default_max_output_tokens integer CHECK (default_max_output_tokens > 0),
    created_at       timestamptz NOT NULL DEFAULT now(),
    created_by       text NOT NULL,
    UNIQUE (tenant_id, id)
);

ALTER TABLE tenants ADD FOREIGN KEY (id, default_project) REFERENCES projects (tenant_id, id)
    ON DELETE SET NULL (default_project);

-- `lookup_id` is the part of the key that is no secret, the same before and after a rotation; `digest` is HMAC-SHA-256 of the whole key under a pepper that
-- the database never sees. `previous_digest` is the secret before the last rotation, good until `previous_until`.
CREATE TABLE api_keys (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    project_id      uuid NOT NULL,
    name            text NOT NULL,
    lookup_id       text NOT NULL UNIQUE,
    digest          bytea NOT NULL,
    previous_digest bytea,
    previous_until  timestamptz,
    scopes          text[] NOT NULL,
    models          text[],
    act_as          boolean NOT NULL,
    expires_at      timestamptz,
    revoked_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    created_by      text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CHECK ((previous_digest IS NULL) = (previous_until IS NULL))
);
CREATE INDEX api_keys_of_project ON api_keys (tenant_id, project_id, id);

-- A provider without a tenant is the platform's, one without a project the tenant's.
CREATE TABLE providers (
    id             uuid PRIMARY KEY,
    tenant_id      uuid,
    project_id     uuid,
    name           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('openai', 'anthropic', 'gemini', 'echo')),
    base_url       text NOT NULL,
    secret         bytea,
    models         text[],
    prices         jsonb NOT NULL DEFAULT '{}',
    from_environment boolean NOT NULL DEFAULT false,
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     text NOT NULL,
    FOREIGN KEY (tenant_id) REFERENCES tenants (id) ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, name),
    CHECK (tenant_id IS NOT NULL OR project_id IS NULL),
    CHECK (NOT from_environment OR tenant_id IS NULL)
);

CREATE TABLE operator_keys (
    id             uuid PRIMARY KEY,
    name           text NOT NULL,
    lookup_id      text NOT NULL UNIQUE,
    digest         bytea NOT NULL,
    expires_at     timestamptz,
    revoked_at     timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    created_by     text NOT NULL
);

-- What administrators did. Append-only for every role of ours; a row without a tenant is about the installation.
CREATE TABLE audit (
    id         uuid PRIMARY KEY,
    tenant_id  uuid,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text NOT NULL,
    action     text NOT NULL,
    target     text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    request_id text
);
CREATE INDEX audit_of_tenant ON audit (tenant_id, id);

-- Gateway processes and their heartbeats: the leases of the calls they hold open.
CREATE TABLE processes (
    id         uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now()
);

-- The open row of a call: written before the provider hears of it, deleted by the statement that settles it. Small
-- whatever the ledger's size, so settling costs the same on the first call and on the ten-millionth. No foreign keys:
-- the ledger keeps amounts after what they were spent on is gone.
CREATE TABLE open_calls (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    project_id   uuid NOT NULL,
    key_id       uuid,
    process_id   uuid NOT NULL,
    opened_at    timestamptz NOT NULL,
    uid          text,
    sid          text,
    provider     text NOT NULL,
    model        text NOT NULL,
    streamed       boolean NOT NULL,
    input_estimate integer NOT NULL,
    cost_estimate_nano bigint,
    held_tokens  integer,
    price        bigint,
    asked        text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The usage rows, one per call that went to a provider, written once, when the call settles.
-- `outcome`: 0 completed, 1 provider error, 2 provider timeout, 3 client gone, 4 our failure, 5 lost with its process.
-- `usage_source`: 0 reported by the provider, 1 estimated from the bytes seen, 2 none (nothing was generated),
-- 3 unknown (a lost call's estimate, corrected once if the truth arrives). Values are never reused.
-- `held_tokens`: of an unknown one, what it took from limits on tokens, if there were any.
-- `price` is the version of the price by which the tokens come to the cost. Kinds of tokens that few calls have are NULL
-- where there are none. `asked` is how the caller named the model, NULL if as `model` does.
CREATE TABLE ledger (
    id                 uuid NOT NULL,
    tenant_id          uuid NOT NULL,
    project_id         uuid NOT NULL,
    key_id             uuid,
    opened_at          timestamptz NOT NULL,
    cost_nano          bigint,
    input_tokens       integer NOT NULL,
    output_tokens      integer NOT NULL,
    cached_tokens      integer NOT NULL,
    cache_write_tokens integer NOT NULL,
    reasoning_tokens   integer NOT NULL,
    latency_ms         integer NOT NULL,
    first_byte_ms      integer,
    status             smallint,
    outcome            smallint NOT NULL,
    usage_source       smallint NOT NULL,
    streamed           boolean NOT NULL,
    uid                text,
    sid                text,
    provider           text NOT NULL,
    model              text NOT NULL,
    held_tokens        integer,
    asked              text,
    price              bigint,
    cache_write_1h_tokens integer,
    input_audio_tokens integer,
    output_audio_tokens integer,
    input_image_tokens integer,
    output_image_tokens integer
) PARTITION BY RANGE (opened_at);
-- The one index, and a narrow one: a row and its entry take less than 300 bytes. That a call has one row is decided
-- where its open row is deleted, not here.
CREATE INDEX ledger_of_project ON ledger (tenant_id, project_id, opened_at);
CREATE TABLE ledger_default PARTITION OF ledger DEFAULT;

-- Who sees which row ------------------------------------------------------------------------------------------------

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['tenants', 'projects', 'api_keys', 'providers', 'audit', 'open_calls', 'ledger',
                             'ledger_default'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    END LOOP;

    FOREACH t IN ARRAY ARRAY['projects', 'providers', 'ledger', 'open_calls'] LOOP
        EXECUTE format('CREATE POLICY app_own ON %I FOR SELECT TO bailiwick_app USING (tenant_id = %s)', t, own);
    END LOOP;
    EXECUTE format('CREATE POLICY app_own ON tenants FOR SELECT TO bailiwick_app USING (id = %s)', own);

    FOREACH t IN ARRAY ARRAY['projects', 'api_keys', 'providers', 'audit', 'ledger', 'open_calls'] LOOP
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
    EXECUTE format('CREATE POLICY control_own ON tenants TO bailiwick_control USING (id = %s) '
                   'WITH CHECK (id = %s)', own, own);
    CREATE POLICY operator_all ON tenants TO bailiwick_operator USING (true) WITH CHECK (true);

    -- The platform's providers serve every tenant: readable, with their secrets sealed, and never writable from one.
    CREATE POLICY app_platform ON providers FOR SELECT TO bailiwick_app USING (tenant_id IS NULL);

    FOREACH t IN ARRAY ARRAY['open_calls', 'ledger'] LOOP
        EXECUTE format('CREATE POLICY ledger_all ON %I TO bailiwick_ledger USING (true) WITH CHECK (true)', t);
    END LOOP;

    FOREACH t IN ARRAY ARRAY['tenants', 'projects', 'api_keys', 'providers'] LOOP
        EXECUTE format('CREATE POLICY auth_look_up ON %I FOR SELECT TO bailiwick_auth USING (true)', t);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA bailiwick
    TO bailiwick_app, bailiwick_ledger, bailiwick_control, bailiwick_operator, bailiwick_auth;
GRANT SELECT ON epoch TO bailiwick_app, bailiwick_control;
GRANT SELECT, UPDATE ON epoch TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON installation TO bailiwick_app, bailiwick_control;
GRANT SELECT, INSERT, UPDATE ON installation TO bailiwick_operator;
GRANT SELECT ON tenants, projects, providers, ledger, open_calls TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON projects, api_keys, providers TO bailiwick_control, bailiwick_operator;
GRANT SELECT, UPDATE, DELETE ON tenants TO bailiwick_control;
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants TO bailiwick_operator;
GRANT SELECT, INSERT ON audit TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON ledger, open_calls TO bailiwick_control, bailiwick_operator;
GRANT SELECT, INSERT, UPDATE ON operator_keys TO bailiwick_operator;
GRANT SELECT, INSERT, DELETE ON open_calls TO bailiwick_ledger;
GRANT SELECT, INSERT, UPDATE ON ledger TO bailiwick_ledger;
GRANT SELECT, INSERT, UPDATE, DELETE ON processes TO bailiwick_ledger;
GRANT SELECT ON tenants, projects, api_keys, providers, operator_keys TO bailiwick_auth;

-- Every change of what processes cache moves the epoch, in its own transaction: no code path can forget to ----------

CREATE FUNCTION move_epoch() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE bailiwick.epoch SET value = value + 1;
    PERFORM pg_notify('bailiwick_epoch', '');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION move_epoch() FROM PUBLIC;

CREATE TRIGGER move_epoch AFTER INSERT OR UPDATE OR DELETE ON tenants
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();
CREATE TRIGGER move_epoch AFTER INSERT OR UPDATE OR DELETE ON projects
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();
CREATE TRIGGER move_epoch AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();
CREATE TRIGGER move_epoch AFTER INSERT OR UPDATE OR DELETE ON providers
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

-- Look-ups before a tenant is known: one exact id each, owned by a role that can do nothing else --------------------

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

CREATE FUNCTION look_up_api_key(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, project_id uuid, digest bytea, previous_digest bytea,
               previous_until timestamptz, scopes text[], models text[], act_as boolean,
               expires_at timestamptz, revoked_at timestamptz, project_slug text, project_status text,
               tenant_status text, limits jsonb, require_end_user boolean,
               on_disconnect text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT k.id, k.tenant_id, k.project_id, k.digest, k.previous_digest, k.previous_until,
           k.scopes, k.models, k.act_as,
           k.expires_at, k.revoked_at, p.slug, p.status, t.status, p.limits, p.require_end_user,
           p.on_disconnect
    FROM bailiwick.api_keys k
    JOIN bailiwick.projects p ON p.tenant_id = k.tenant_id AND p.id = k.project_id
    JOIN bailiwick.tenants t ON t.id = k.tenant_id
    WHERE k.lookup_id = wanted
$$;

-- A project that lists no origin is answered like one that does not exist.
CREATE FUNCTION look_up_origins(wanted text) RETURNS TABLE (cors_origins text[])
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT p.cors_origins FROM bailiwick.projects p WHERE p.slug = wanted AND p.cors_origins <> '{}'
$$;

CREATE FUNCTION look_up_operator_key(wanted text)
RETURNS TABLE (id uuid, name text, digest bytea, expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT o.id, o.name, o.digest, o.expires_at, o.revoked_at
    FROM bailiwick.operator_keys o WHERE o.lookup_id = wanted
$$;

-- Which tenant an id of the control plane's addresses belongs to; what it holds is then read under that tenant.
CREATE FUNCTION tenant_of(kind text, wanted uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT CASE kind
        WHEN 'tenant' THEN (SELECT id FROM bailiwick.tenants WHERE id = wanted)
        WHEN 'project' THEN (SELECT tenant_id FROM bailiwick.projects WHERE id = wanted)
        WHEN 'key' THEN (SELECT tenant_id FROM bailiwick.api_keys WHERE id = wanted)
        WHEN 'provider' THEN (SELECT tenant_id FROM bailiwick.providers WHERE id = wanted)
    END
$$;

REVOKE ALL ON FUNCTION look_up_api_key(text), look_up_origins(text), look_up_operator_key(text), tenant_of(text, uuid)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_api_key(text), look_up_origins(text) TO bailiwick_app;
GRANT EXECUTE ON FUNCTION look_up_operator_key(text), tenant_of(text, uuid) TO bailiwick_control;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
