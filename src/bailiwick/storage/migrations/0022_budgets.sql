-- Budgets: what a tenant and its projects cap. What they have spent stands elsewhere.

-- Without a project it is the tenant's. `subject`: '*' for each, an id as shown, NULL where the scope has only one;
-- `amount` in nano-dollars or tokens; `period`: 'day', 'week', 'month', 'total' or a length such as '24h'; `models`:
-- globs, NULL for any.
CREATE TABLE budgets (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    project_id  uuid,
    scope       text NOT NULL CHECK (scope IN ('tenant', 'project', 'user', 'session', 'key')),
    subject     text COLLATE "C",
    unit        text NOT NULL CHECK (unit IN ('usd', 'tokens')),
    amount      bigint NOT NULL CHECK (amount >= 0),
    period      text NOT NULL,
    timezone    text NOT NULL,
    on_exceed   text NOT NULL CHECK (on_exceed IN ('cap', 'reject')),
    max_wait_ms integer NOT NULL CHECK (max_wait_ms >= 0),
    on_lost     text NOT NULL CHECK (on_lost IN ('estimate', 'ceiling', 'release')),
    models      text[],
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX budgets_of_project ON budgets (tenant_id, project_id, id);

-- What a tier gives each of its users: caps as `domain/budgets.py` writes them.
ALTER TABLE tiers ADD COLUMN budgets jsonb;

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON budgets
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

ALTER TABLE budgets ENABLE ROW LEVEL SECURITY;
ALTER TABLE budgets FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON budgets TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON budgets TO bailiwick_operator USING (true) WITH CHECK (true);
CREATE POLICY auth_look_up ON budgets FOR SELECT TO bailiwick_auth USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON budgets TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON budgets TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- What a project says of calls to it, now with the budgets of its tenant, itself and its tiers.
CREATE OR REPLACE FUNCTION project_terms(wanted uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_build_object(
        'tenant_id', p.tenant_id, 'tenant_slug', t.slug, 'tenant_status', t.status,
        'project_id', p.id, 'project_slug', p.slug, 'project_status', p.status,
        'limits', p.limits, 'default_tier', p.default_tier, 'tools', p.tools,
        'require_end_user', p.require_end_user, 'on_disconnect', p.on_disconnect,
        'default_max_output_tokens', p.default_max_output_tokens,
        'tiers', (SELECT jsonb_object_agg(i.name, jsonb_build_object(
                      'id', i.id, 'limits', i.limits, 'models', i.models, 'tools', i.tools, 'agents', i.agents,
                      'max_output_tokens', i.max_output_tokens, 'budgets', i.budgets))
                  FROM bailiwick.tiers i WHERE i.tenant_id = p.tenant_id AND i.project_id = p.id),
        'budgets', (SELECT jsonb_agg(jsonb_build_object(
                        'id', b.id, 'of_tenant', b.project_id IS NULL, 'scope', b.scope, 'subject', b.subject,
                        'unit', b.unit, 'amount', b.amount, 'period', b.period, 'timezone', b.timezone,
                        'on_exceed', b.on_exceed, 'max_wait_ms', b.max_wait_ms, 'on_lost', b.on_lost,
                        'models', b.models) ORDER BY b.id)
                    FROM bailiwick.budgets b
                    WHERE b.tenant_id = p.tenant_id AND (b.project_id = p.id OR b.project_id IS NULL)),
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
