-- Operators: keys and persons, each of the installation (no tenant) or of one tenant, with a role.
--
-- A tenant's operators are rows of that tenant, and its policies hold for them as for any other row: within a tenant's
-- scope nobody can be made an operator of the installation, nor of another tenant.

ALTER TABLE operator_keys
    ADD COLUMN tenant_id       uuid REFERENCES tenants (id) ON DELETE CASCADE,
    ADD COLUMN role            text NOT NULL DEFAULT 'owner' CHECK (role IN ('viewer', 'admin', 'owner')),
    ADD COLUMN previous_digest bytea,
    ADD COLUMN previous_until  timestamptz,
    ADD CHECK ((previous_digest IS NULL) = (previous_until IS NULL));
-- The keys that were there are owners; from now on, a key has the role that is said.
ALTER TABLE operator_keys ALTER COLUMN role DROP DEFAULT;
CREATE INDEX operator_keys_of_tenant ON operator_keys (tenant_id, id);

-- `email` is in lower case. An invited one cannot sign in until it has followed its link.
CREATE TABLE operators (
    id         uuid PRIMARY KEY,
    tenant_id  uuid REFERENCES tenants (id) ON DELETE CASCADE,
    email      text NOT NULL UNIQUE CHECK (email = lower(email)),
    name       text NOT NULL,
    role       text NOT NULL CHECK (role IN ('viewer', 'admin', 'owner')),
    status     text NOT NULL CHECK (status IN ('invited', 'active', 'suspended')),
    created_at timestamptz NOT NULL,
    created_by text NOT NULL
);
CREATE INDEX operators_of_tenant ON operators (tenant_id, id);

ALTER TABLE audit ADD COLUMN actor_name text, ADD COLUMN ip text;

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['operator_keys', 'operators'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
    CREATE POLICY auth_look_up ON operator_keys FOR SELECT TO bailiwick_auth USING (true);
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON operator_keys, operators TO bailiwick_control, bailiwick_operator;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

DROP FUNCTION look_up_operator_key(text);
CREATE FUNCTION look_up_operator_key(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, name text, role text, lookup_id text, digest bytea, previous_digest bytea,
               previous_until timestamptz, expires_at timestamptz, revoked_at timestamptz, created_at timestamptz,
               created_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT o.id, o.tenant_id, o.name, o.role, o.lookup_id, o.digest, o.previous_digest,
           o.previous_until, o.expires_at, o.revoked_at, o.created_at, o.created_by
    FROM bailiwick.operator_keys o WHERE o.lookup_id = wanted
$$;
REVOKE ALL ON FUNCTION look_up_operator_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_operator_key(text) TO bailiwick_control;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
