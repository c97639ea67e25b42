-- User tokens: what signs them, what tiers they name, and what was taken away before it expired.

-- The installation's own: each signs from `signs_from` until the next one does, and is published until the last token
-- that it signed has expired.
CREATE TABLE signing_keys (
    id         uuid PRIMARY KEY,
    kid        text NOT NULL UNIQUE,
    public_jwk jsonb NOT NULL,
    secret     bytea NOT NULL,
    signs_from timestamptz NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);

-- A named plan of a project: what it says stands in the place of what the project says.
CREATE TABLE tiers (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    name       text COLLATE "C" NOT NULL,
    limits     jsonb NOT NULL DEFAULT '{}',
    models     text[],
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (tenant_id, project_id, name)
);

-- A tier that is named here need not exist: it then says nothing.
ALTER TABLE projects ADD COLUMN default_tier text;
ALTER TABLE api_keys ADD COLUMN tier text;
ALTER TABLE api_keys ADD COLUMN ip_allow text[];

-- What ended before it expired: a token, a session with all its tokens, or all that a user had by then. `change` is as
-- of `blocked_users`.
CREATE TABLE revocations (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('token', 'session', 'user')),
    value      text COLLATE "C" NOT NULL,
    revoked_at timestamptz NOT NULL,
    change     bigint NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX revocations_of_project ON revocations (tenant_id, project_id, id);
CREATE INDEX revocations_by_change ON revocations (tenant_id, project_id, change);
CREATE INDEX revocations_by_value ON revocations (tenant_id, project_id, kind, value);

CREATE TRIGGER move_blocked BEFORE INSERT ON revocations FOR EACH ROW EXECUTE FUNCTION move_blocked();
CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();
CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON tiers
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['tiers', 'revocations'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
    EXECUTE format('CREATE POLICY app_own ON revocations FOR SELECT TO bailiwick_app USING (tenant_id = %s)', own);
END $$;
CREATE POLICY auth_look_up ON tiers FOR SELECT TO bailiwick_auth USING (true);

GRANT SELECT ON revocations TO bailiwick_app;
GRANT SELECT, INSERT ON revocations TO bailiwick_control, bailiwick_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON tiers TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON tiers TO bailiwick_auth;
GRANT SELECT ON signing_keys TO bailiwick_app, bailiwick_control;
GRANT SELECT, INSERT, DELETE ON signing_keys TO bailiwick_operator;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- A key by the part of it that is no secret, or by its id, and what its project and tenant say of it.
DROP FUNCTION look_up_api_key(text);
CREATE FUNCTION look_up_api_key(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, project_id uuid, lookup_id text, digest bytea, previous_digest bytea,
               previous_until timestamptz, scopes text[], models text[], act_as boolean, tier text, ip_allow text[],
               expires_at timestamptz, revoked_at timestamptz, project_slug text, project_status text,
               tenant_slug text, tenant_status text, limits jsonb, default_tier text, tiers jsonb, require_end_user boolean,
               on_disconnect text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT k.id, k.tenant_id, k.project_id, k.lookup_id, k.digest, k.previous_digest, k.previous_until,
           k.scopes, k.models, k.act_as, k.tier, k.ip_allow,
           k.expires_at, k.revoked_at, p.slug, p.status, t.slug, t.status, p.limits, p.default_tier,
           (SELECT jsonb_object_agg(i.name, jsonb_build_object('limits', i.limits, 'models', i.models))
            FROM bailiwick.tiers i WHERE i.tenant_id = p.tenant_id AND i.project_id = p.id),
           p.require_end_user, p.on_disconnect
    FROM bailiwick.api_keys k
    JOIN bailiwick.projects p ON p.tenant_id = k.tenant_id AND p.id = k.project_id
    JOIN bailiwick.tenants t ON t.id = k.tenant_id
    WHERE k.lookup_id = wanted
       OR k.id = CASE WHEN wanted ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN wanted::uuid END
$$;
REVOKE ALL ON FUNCTION look_up_api_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_api_key(text) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
