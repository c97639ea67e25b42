-- Roles of tenants' own: what the people who have one may do on the data plane.

CREATE TABLE roles (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        text COLLATE "C" NOT NULL CHECK (name NOT IN ('viewer', 'member', 'developer', 'admin', 'owner')),
    permissions text[] NOT NULL,
    models      text[],
    tools       jsonb,
    agents      text[],
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    UNIQUE (tenant_id, name)
);
CREATE INDEX roles_of_tenant ON roles (tenant_id, id);

-- Names of roles that are gone: they hold nothing for as long as a token may still say them, so that removing a role
-- widens nobody's.
CREATE TABLE removed_roles (
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name       text COLLATE "C" NOT NULL,
    removed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- A member's role is built in or its tenant's own, and stays there as long as they have it.
ALTER TABLE members ADD COLUMN own_role text COLLATE "C";
ALTER TABLE members ADD CHECK (own_role IS NOT DISTINCT FROM
    CASE WHEN role NOT IN ('viewer', 'member', 'developer', 'admin', 'owner') THEN role END);
ALTER TABLE members ADD FOREIGN KEY (tenant_id, own_role) REFERENCES roles (tenant_id, name);
CREATE INDEX members_of_role ON members (tenant_id, own_role) WHERE own_role IS NOT NULL;

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON roles
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['roles', 'removed_roles'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
        EXECUTE format('CREATE POLICY auth_look_up ON %I FOR SELECT TO bailiwick_auth USING (true)', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO bailiwick_control, bailiwick_operator', t);
        EXECUTE format('GRANT SELECT ON %I TO bailiwick_auth', t);
    END LOOP;
END $$;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- What a project says of calls to it, now with its tenant's roles: null for one that was removed. A token lives for a
-- week at most.
CREATE OR REPLACE FUNCTION project_terms(wanted uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_build_object(
        'tenant_id', p.tenant_id, 'tenant_slug', t.slug, 'tenant_status', t.status,
        'project_id', p.id, 'project_slug', p.slug, 'project_status', p.status,
        'limits', p.limits, 'default_tier', p.default_tier, 'tools', p.tools,
        'require_end_user', p.require_end_user, 'on_disconnect', p.on_disconnect,
        'tiers', (SELECT jsonb_object_agg(i.name, jsonb_build_object(
                      'limits', i.limits, 'models', i.models, 'tools', i.tools, 'agents', i.agents,
                      'max_output_tokens', i.max_output_tokens))
                  FROM bailiwick.tiers i WHERE i.tenant_id = p.tenant_id AND i.project_id = p.id),
        'roles', (SELECT jsonb_object_agg(r.name, jsonb_build_object(
                      'permissions', r.permissions, 'models', r.models, 'tools', r.tools, 'agents', r.agents))
                  FROM bailiwick.roles r WHERE r.tenant_id = p.tenant_id),
        'removed_roles', (SELECT jsonb_agg(r.name) FROM bailiwick.removed_roles r
                          WHERE r.tenant_id = p.tenant_id AND r.removed_at > now() - interval '8 days'))
    FROM bailiwick.projects p JOIN bailiwick.tenants t ON t.id = p.tenant_id
    WHERE p.id = wanted
$$;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
