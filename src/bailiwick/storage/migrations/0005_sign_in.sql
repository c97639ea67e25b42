-- Sign-in: what a person proves who they are with, the sessions that this opens, and links that are good once.
--
-- Each of these rows belongs to an operator, and with it to a tenant or to the installation. Before anybody is known to
-- ask, a row is found by one exact value that nobody can guess, or by an e-mail address, through a look-up function.

ALTER TABLE operators ADD UNIQUE (tenant_id, id);

-- `password_hash` is Argon2id's encoded form. `totp_secret` is sealed; `totp_counter` is the half minute that was last
-- used; of recovery codes there are HMACs.
CREATE TABLE operator_secrets (
    operator_id      uuid PRIMARY KEY REFERENCES operators (id) ON DELETE CASCADE,
    tenant_id        uuid,
    password_hash    text,
    totp_secret      bytea,
    totp_counter     bigint NOT NULL DEFAULT 0,
    recovery_digests bytea[] NOT NULL DEFAULT '{}',
    FOREIGN KEY (tenant_id, operator_id) REFERENCES operators (tenant_id, id) ON DELETE CASCADE
);

-- `digest` is an HMAC of what the browser holds.
CREATE TABLE sessions (
    id          uuid PRIMARY KEY,
    tenant_id   uuid,
    operator_id uuid NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    digest      bytea NOT NULL UNIQUE,
    method      text NOT NULL CHECK (method IN ('link', 'password', 'password_and_code', 'password_and_recovery_code',
                                               'oidc')),
    ip          text,
    user_agent  text,
    opened_at   timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, operator_id) REFERENCES operators (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX sessions_of_operator ON sessions (tenant_id, operator_id, id);

-- A link without an operator makes the installation's first owner.
CREATE TABLE sign_in_links (
    digest       bytea PRIMARY KEY,
    tenant_id    uuid,
    operator_id  uuid REFERENCES operators (id) ON DELETE CASCADE,
    resets_codes boolean NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    expires_at   timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, operator_id) REFERENCES operators (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX sign_in_links_of_operator ON sign_in_links (tenant_id, operator_id);

-- OpenID providers by which people sign in; the installation's alone. `client_secret` is sealed.
CREATE TABLE sign_in_providers (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    issuer        text NOT NULL UNIQUE,
    client_id     text NOT NULL,
    client_secret bytea,
    scopes        text[] NOT NULL,
    rules         jsonb NOT NULL,
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL
);

-- Who somebody is at a provider: its issuer and their subject there, and nothing else.
CREATE TABLE operator_identities (
    issuer      text NOT NULL,
    subject     text NOT NULL,
    tenant_id   uuid,
    operator_id uuid NOT NULL REFERENCES operators (id) ON DELETE CASCADE,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (issuer, subject),
    FOREIGN KEY (tenant_id, operator_id) REFERENCES operators (tenant_id, id) ON DELETE CASCADE
);

-- Sign-ins by a provider that were finished, each once, until they would be too old anyway.
CREATE TABLE finished_sign_ins (
    digest     bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['operator_secrets', 'sessions', 'sign_in_links', 'operator_identities'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
        EXECUTE format('CREATE POLICY auth_look_up ON %I FOR SELECT TO bailiwick_auth USING (true)', t);
    END LOOP;
    CREATE POLICY auth_look_up ON operators FOR SELECT TO bailiwick_auth USING (true);
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON operator_secrets, sessions, sign_in_links
    TO bailiwick_control, bailiwick_operator;
GRANT SELECT, INSERT ON operator_identities TO bailiwick_control, bailiwick_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_providers TO bailiwick_operator;
GRANT SELECT ON sign_in_providers TO bailiwick_control;
GRANT SELECT, INSERT, DELETE ON finished_sign_ins TO bailiwick_control, bailiwick_operator;
GRANT SELECT ON operators, operator_secrets, sessions, sign_in_links, operator_identities TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

CREATE FUNCTION look_up_sign_in(wanted text)
RETURNS TABLE (id uuid, tenant_id uuid, email text, name text, role text, status text, created_at timestamptz,
               created_by text, password_hash text, has_codes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT o.id, o.tenant_id, o.email, o.name, o.role, o.status, o.created_at, o.created_by, s.password_hash,
           s.totp_secret IS NOT NULL
    FROM bailiwick.operators o LEFT JOIN bailiwick.operator_secrets s ON s.operator_id = o.id
    WHERE o.email = wanted
$$;

CREATE FUNCTION look_up_session(wanted bytea)
RETURNS TABLE (session_id uuid, method text, ip text, user_agent text, opened_at timestamptz, seen_at timestamptz,
               expires_at timestamptz, id uuid, tenant_id uuid, email text, name text, role text, status text,
               created_at timestamptz, created_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT s.id, s.method, s.ip, s.user_agent, s.opened_at, s.seen_at, s.expires_at,
           o.id, o.tenant_id, o.email, o.name, o.role, o.status, o.created_at, o.created_by
    FROM bailiwick.sessions s JOIN bailiwick.operators o ON o.id = s.operator_id
    WHERE s.digest = wanted
$$;

CREATE FUNCTION look_up_sign_in_link(wanted bytea)
RETURNS TABLE (resets_codes boolean, expires_at timestamptz, id uuid, tenant_id uuid, email text, name text, role text,
               status text, created_at timestamptz, created_by text, password_hash text, has_codes boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT l.resets_codes, l.expires_at, o.id, o.tenant_id, o.email, o.name, o.role, o.status, o.created_at,
           o.created_by, s.password_hash, s.totp_secret IS NOT NULL
    FROM bailiwick.sign_in_links l
    LEFT JOIN bailiwick.operators o ON o.id = l.operator_id
    LEFT JOIN bailiwick.operator_secrets s ON s.operator_id = l.operator_id
    WHERE l.digest = wanted
$$;

CREATE FUNCTION look_up_identity(wanted_issuer text, wanted_subject text)
RETURNS TABLE (id uuid, tenant_id uuid, email text, name text, role text, status text, created_at timestamptz,
               created_by text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT o.id, o.tenant_id, o.email, o.name, o.role, o.status, o.created_at, o.created_by
    FROM bailiwick.operator_identities i JOIN bailiwick.operators o ON o.id = i.operator_id
    WHERE i.issuer = wanted_issuer AND i.subject = wanted_subject
$$;

REVOKE ALL ON FUNCTION look_up_sign_in(text), look_up_session(bytea), look_up_sign_in_link(bytea),
    look_up_identity(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_sign_in(text), look_up_session(bytea), look_up_sign_in_link(bytea),
    look_up_identity(text, text) TO bailiwick_control;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
