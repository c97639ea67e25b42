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
    change      bigint NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    CHECK ((tenant_id IS NULL) = (project_id IS NULL)),
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, issuer),
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, user_prefix)
);
CREATE INDEX issuers_by_name ON issuers (issuer);
CREATE INDEX issuers_by_change ON issuers (change);

-- `change` is the epoch that a row came with: a process that knows all up to one asks for what came after it. The
-- epoch's lock makes the numbers' order that of the commits.
CREATE FUNCTION move_issuer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    UPDATE bailiwick.epoch SET value = value + 1 RETURNING value INTO NEW.change;
    PERFORM pg_notify('bailiwick_epoch', '');
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION move_issuer() FROM PUBLIC;
CREATE TRIGGER move_issuer BEFORE INSERT OR UPDATE ON issuers FOR EACH ROW EXECUTE FUNCTION move_issuer();
CREATE TRIGGER move_epoch AFTER DELETE ON issuers FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

-- A project's issuers are known by its slug too. They are locked before the first of them moves the epoch: whoever
-- changes one of them has it locked, too, and waits for the epoch.
CREATE FUNCTION move_issuers_of_slug() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM bailiwick.issuers i WHERE i.tenant_id = NEW.tenant_id AND i.project_id = NEW.id
        ORDER BY i.id FOR NO KEY UPDATE;
    UPDATE bailiwick.issuers i SET change = 0 WHERE i.tenant_id = NEW.tenant_id AND i.project_id = NEW.id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION move_issuers_of_slug() FROM PUBLIC;
CREATE TRIGGER move_issuers_of_slug AFTER UPDATE OF slug ON projects
    FOR EACH ROW WHEN (NEW.slug <> OLD.slug) EXECUTE FUNCTION move_issuers_of_slug();

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

-- An issuer as somebody trusts it. `wanted` is its exact name, a space, and who: a project's slug, `@` with a project's
-- id, nothing for the platform, or `*` for anybody at all. So nobody's issuers stand in the way of another's.
CREATE FUNCTION look_up_issuer(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, project_id uuid, slug text, document jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    WITH asked AS (SELECT split_part(wanted, ' ', 1) AS name, split_part(wanted, ' ', 2) AS who),
    project AS (
        SELECT p.tenant_id, p.id, p.slug FROM asked, bailiwick.projects p
        WHERE p.id = CASE WHEN asked.who LIKE '@%' THEN substr(asked.who, 2)::uuid END
        UNION ALL
        SELECT p.tenant_id, p.id, p.slug FROM asked, bailiwick.projects p WHERE p.slug = asked.who
    )
    SELECT i.id, i.tenant_id, i.project_id, project.slug, i.document
    FROM asked, project, bailiwick.issuers i
    WHERE i.tenant_id = project.tenant_id AND i.project_id = project.id AND i.issuer = asked.name
    UNION ALL
    SELECT i.id, NULL, NULL, NULL, i.document FROM asked, bailiwick.issuers i
    WHERE asked.who = '' AND i.tenant_id IS NULL AND i.project_id IS NULL AND i.issuer = asked.name
    UNION ALL
    (SELECT i.id, i.tenant_id, i.project_id, NULL, i.document FROM asked, bailiwick.issuers i
     WHERE asked.who = '*' AND i.issuer = asked.name LIMIT 1)
$$;

-- What can be looked up so, as of a change, in the order of changes: each as 8 bytes of its SHA-256, which tell nobody a
-- name, but that what has none of them is not there.
CREATE FUNCTION list_issuer_marks(after bigint) RETURNS TABLE (change bigint, marks bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 2000 AS $$
    SELECT i.change, substr(sha256(convert_to(i.issuer || ' *', 'UTF8')), 1, 8)
        || substr(sha256(convert_to(i.issuer || ' ' || coalesce(p.slug, ''), 'UTF8')), 1, 8)
        || coalesce(substr(sha256(convert_to(i.issuer || ' @' || p.id, 'UTF8')), 1, 8), '')
    FROM (SELECT * FROM bailiwick.issuers o WHERE o.change > after ORDER BY o.change LIMIT 2000) i
    LEFT JOIN bailiwick.projects p ON p.tenant_id = i.tenant_id AND p.id = i.project_id
    ORDER BY i.change
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

REVOKE ALL ON FUNCTION look_up_issuer(text), list_issuer_marks(bigint), look_up_project(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_issuer(text), list_issuer_marks(bigint), look_up_project(uuid) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
