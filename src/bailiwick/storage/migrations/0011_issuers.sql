-- Trusted issuers: whose tokens a project takes, or without one the whole installation.

-- `document` is what is known of it, as `domain/issuers.py` writes it. No two of a project share an issuer, or a prefix of
-- users (none counts as one), so that equal subjects never meet.
CREATE TABLE issuers (
    id          uuid PRIMARY KEY,
    tenant_id   uuid,
    project_id  uuid,
    issuer      text COLLATE "C" NOT NULL,
    user_prefix text COLLATE "C",
    document    jsonb NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CHECK ((tenant_id IS NULL) = (project_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, issuer),
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, user_prefix)
);
CREATE INDEX issuers_by_name ON issuers (issuer);

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON issuers
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

ALTER TABLE issuers ENABLE ROW LEVEL SECURITY;
ALTER TABLE issuers FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON issuers TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON issuers TO bailiwick_operator USING (true) WITH CHECK (true);
CREATE POLICY auth_look_up ON issuers FOR SELECT TO bailiwick_auth USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON issuers TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON issuers TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- Everybody who trusts an issuer of exactly this name, the oldest first.
CREATE FUNCTION look_up_issuers(wanted text) RETURNS TABLE (issuers jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT jsonb_agg(jsonb_build_object('id', i.id, 'project_id', i.project_id, 'slug', p.slug, 'document', i.document)
                     ORDER BY i.created_at, i.id)
    FROM (SELECT * FROM bailiwick.issuers o WHERE o.issuer = wanted ORDER BY o.created_at, o.id LIMIT 2000) i
    LEFT JOIN bailiwick.projects p ON p.tenant_id = i.tenant_id AND p.id = i.project_id
$$;

-- What a project says of calls to it.
CREATE FUNCTION look_up_project(wanted uuid)
RETURNS TABLE (tenant_id uuid, tenant_slug text, project_id uuid, project_slug text, project_status text,
               tenant_status text, limits jsonb, default_tier text, tiers jsonb, require_end_user boolean,
               on_disconnect text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT p.tenant_id, t.slug, p.id, p.slug, p.status, t.status, p.limits, p.default_tier,
           (SELECT jsonb_object_agg(i.name, jsonb_build_object('limits', i.limits, 'models', i.models))
            FROM bailiwick.tiers i WHERE i.tenant_id = p.tenant_id AND i.project_id = p.id),
           p.require_end_user, p.on_disconnect
    FROM bailiwick.projects p JOIN bailiwick.tenants t ON t.id = p.tenant_id
    WHERE p.id = wanted
$$;

REVOKE ALL ON FUNCTION look_up_issuers(text), look_up_project(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_issuers(text), look_up_project(uuid) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
