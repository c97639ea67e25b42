-- A trusted issuer of a project says what ended there (OpenID Connect Back-Channel Logout 1.0), through the gateway.

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- End a session, or all that a user had by then, in the issuer's project and in the issuer's name; true once it is. What
-- was ended so before stays as it is, while anybody heeds that (queries/taken_away.sql). A project's issuers have ten thousand an hour.
CREATE FUNCTION log_out(by_issuer uuid, kind text, value text, at timestamptz) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    WITH of AS (
        SELECT i.tenant_id, i.project_id, bailiwick.shown_id('iss', i.id) AS name FROM bailiwick.issuers i
        WHERE i.id = by_issuer AND i.project_id IS NOT NULL
          AND log_out.kind IN ('session', 'user') AND octet_length(log_out.value) BETWEEN 1 AND 255
    ), before AS (
        SELECT FROM of, bailiwick.revocations r
        WHERE r.tenant_id = of.tenant_id AND r.project_id = of.project_id
          AND r.kind = log_out.kind AND r.value = log_out.value
          AND (r.revoked_at >= log_out.at OR (r.kind = 'session' AND r.revoked_at > now() - interval '7 days'))
    ), added AS (
        INSERT INTO bailiwick.revocations (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)
        SELECT bailiwick.uuid7(clock_timestamp(), gen_random_uuid()), of.tenant_id, of.project_id,
               log_out.kind, log_out.value, log_out.at, now(), of.name
        FROM of
        WHERE NOT EXISTS (SELECT FROM before)
          AND (SELECT count(*) FROM bailiwick.revocations r
               WHERE r.tenant_id = of.tenant_id AND r.project_id = of.project_id AND r.created_by LIKE 'iss%'
                 AND r.id > bailiwick.uuid7(now() - interval '1 hour', '00000000-0000-0000-0000-000000000000')) < 10000
        RETURNING 1
    )
    SELECT EXISTS (SELECT FROM before) OR EXISTS (SELECT FROM added)
$$;
REVOKE ALL ON FUNCTION log_out(uuid, text, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_out(uuid, text, text, timestamptz) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
