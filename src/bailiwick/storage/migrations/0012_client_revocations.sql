-- A client takes a token of its own away (RFC 7009), through the gateway, whose role writes nothing here.

CREATE POLICY auth_look_up ON revocations FOR SELECT TO bailiwick_auth USING (true);
CREATE POLICY auth_token ON revocations FOR INSERT TO bailiwick_auth WITH CHECK (kind = 'token');
GRANT SELECT, INSERT ON revocations TO bailiwick_auth;
GRANT SELECT, UPDATE ON epoch TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- Take one token away, in the project of the living key that minted it, and in that one's name; true once it is. A
-- project has ten thousand an hour: every process remembers each of them.
CREATE FUNCTION revoke_token(by_key uuid, jti text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO bailiwick.revocations (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
               PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
               FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
           k.tenant_id, k.project_id, 'token', jti, now(), now(),
           (SELECT 'key_' || string_agg(
                substr('0123456789abcdefghjkmnpqrstvwxyz',
                       1 + substring(B'00' || ('x' || replace(k.id::text, '-', ''))::bit(128)
                                     FROM 5 * place + 1 FOR 5)::bit(5)::integer, 1), '' ORDER BY place)
            FROM generate_series(0, 25) place)
    FROM bailiwick.api_keys k
    WHERE k.id = by_key AND k.revoked_at IS NULL AND octet_length(jti) BETWEEN 1 AND 255
      AND (SELECT count(*) FROM bailiwick.revocations r
           WHERE r.tenant_id = k.tenant_id AND r.project_id = k.project_id AND r.kind = 'token'
             AND r.id > (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 3600000), 12, '0')
                         || repeat('0', 20))::uuid) < 10000
    RETURNING true
$$;
REVOKE ALL ON FUNCTION revoke_token(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_token(uuid, text) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
