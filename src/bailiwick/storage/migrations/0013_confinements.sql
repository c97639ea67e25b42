-- What narrows the use of credentials: tools and agents, by key, tier and project.

-- `tools`: {"allow": [globs], "deny": [globs]}, as `domain/tools.py` reads it; `agents`: globs. NULL says nothing.
ALTER TABLE api_keys ADD COLUMN tools jsonb, ADD COLUMN agents text[];
ALTER TABLE tiers ADD COLUMN tools jsonb, ADD COLUMN agents text[],
    ADD COLUMN max_output_tokens integer CHECK (max_output_tokens > 0);
ALTER TABLE projects ADD COLUMN tools jsonb;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- What a project says of calls to it: the one place that the look-ups below take it from.
CREATE FUNCTION project_terms(wanted uuid) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT jsonb_build_object(
        'tenant_id', p.tenant_id, 'tenant_slug', t.slug, 'tenant_status', t.status,
        'project_id', p.id, 'project_slug', p.slug, 'project_status', p.status,
        'limits', p.limits, 'default_tier', p.default_tier, 'tools', p.tools,
        'require_end_user', p.require_end_user, 'on_disconnect', p.on_disconnect,
        'tiers', (SELECT jsonb_object_agg(i.name, jsonb_build_object(
                      'limits', i.limits, 'models', i.models, 'tools', i.tools, 'agents', i.agents,
                      'max_output_tokens', i.max_output_tokens))
                  FROM bailiwick.tiers i WHERE i.tenant_id = p.tenant_id AND i.project_id = p.id))
    FROM bailiwick.projects p JOIN bailiwick.tenants t ON t.id = p.tenant_id
    WHERE p.id = wanted
$$;

-- A key by the part of it that is no secret, or by its id, and what its project and tenant say of it.
DROP FUNCTION look_up_api_key(text);
CREATE FUNCTION look_up_api_key(wanted text)
RETURNS TABLE (id uuid, lookup_id text, digest bytea, previous_digest bytea, previous_until timestamptz, scopes text[],
               models text[], tools jsonb, agents text[], act_as boolean, tier text, ip_allow text[],
               expires_at timestamptz, revoked_at timestamptz, terms jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT k.id, k.lookup_id, k.digest, k.previous_digest, k.previous_until, k.scopes, k.models, k.tools, k.agents,
           k.act_as, k.tier, k.ip_allow, k.expires_at, k.revoked_at, bailiwick.project_terms(k.project_id)
    FROM bailiwick.api_keys k
    WHERE k.lookup_id = wanted
       OR k.id = CASE WHEN wanted ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN wanted::uuid END
$$;

DROP FUNCTION look_up_project(uuid);
CREATE FUNCTION look_up_project(wanted uuid) RETURNS TABLE (terms jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT bailiwick.project_terms(wanted)
$$;

REVOKE ALL ON FUNCTION project_terms(uuid), look_up_api_key(text), look_up_project(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_api_key(text), look_up_project(uuid) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
