-- Members: the people, by issuer and subject, who may enter a tenant with a token of the platform's.

-- `issuer` is compared byte for byte; the empty one is this installation itself, whatever its address is.
CREATE TABLE members (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    role       text COLLATE "C" NOT NULL,
    scopes     text[],
    tier       text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    UNIQUE (tenant_id, subject, issuer)
);
CREATE INDEX members_of_tenant ON members (tenant_id, id);

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON members
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

ALTER TABLE members ENABLE ROW LEVEL SECURITY;
ALTER TABLE members FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON members TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON members TO bailiwick_operator USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON members TO bailiwick_control, bailiwick_operator;

CREATE POLICY auth_look_up ON members FOR SELECT TO bailiwick_auth USING (true);
GRANT SELECT ON members TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- One person's membership of one tenant: that which is named, or else that of the project; and the project that is
-- entered, which is the tenant's default if none is named, and NULL if the tenant has no such one. Both are named by
-- `@` and an id, or by a slug.
CREATE FUNCTION look_up_membership(by_issuer text, by_subject text, in_tenant text, in_project text)
RETURNS TABLE (tenant_id uuid, tenant_slug text, project_id uuid, role text, scopes text[], tier text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    WITH project AS (
        SELECT p.tenant_id, p.id FROM bailiwick.projects p
        WHERE p.id = CASE WHEN in_project LIKE '@%' THEN substr(in_project, 2)::uuid END
        UNION ALL
        SELECT p.tenant_id, p.id FROM bailiwick.projects p WHERE p.slug = in_project
    ),
    tenant AS (
        SELECT t.id, t.slug, t.default_project FROM bailiwick.tenants t
        WHERE t.id = CASE WHEN in_tenant IS NULL THEN (SELECT project.tenant_id FROM project)
                          WHEN in_tenant LIKE '@%' THEN substr(in_tenant, 2)::uuid END
        UNION ALL
        SELECT t.id, t.slug, t.default_project FROM bailiwick.tenants t WHERE t.slug = in_tenant
    )
    SELECT m.tenant_id, tenant.slug,
           CASE WHEN in_project IS NOT NULL
                THEN (SELECT project.id FROM project WHERE project.tenant_id = tenant.id)
                ELSE coalesce(tenant.default_project, (SELECT p.id FROM bailiwick.projects p
                                                       WHERE p.tenant_id = tenant.id ORDER BY p.id LIMIT 1)) END,
           m.role, m.scopes, m.tier
    FROM tenant
    JOIN bailiwick.members m ON m.tenant_id = tenant.id AND m.subject = by_subject AND m.issuer = by_issuer
$$;
REVOKE ALL ON FUNCTION look_up_membership(text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_membership(text, text, text, text) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
