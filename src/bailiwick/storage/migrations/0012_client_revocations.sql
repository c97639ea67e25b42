-- A client takes a token of its own away (RFC 7009), through the gateway, whose role writes nothing here.

CREATE POLICY auth_look_up ON revocations FOR SELECT TO bailiwick_auth USING (true);
CREATE POLICY auth_takes_away ON revocations FOR INSERT TO bailiwick_auth WITH CHECK (true);
GRANT SELECT, INSERT ON revocations TO bailiwick_auth;
GRANT SELECT, UPDATE ON epoch TO bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- A UUIDv7 of a moment, with a random UUID's bits, or with zeros to be before all others of that moment.
CREATE FUNCTION uuid7(at timestamptz, random uuid) RETURNS uuid
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(random)
        PLACING substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- An id as `domain/ids.py` shows it.
CREATE FUNCTION shown_id(prefix text, id uuid) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT prefix || '_' || string_agg(
        substr('0123456789abcdefghjkmnpqrstvwxyz',
               1 + substring(B'00' || ('x' || replace(id::text, '-', ''))::bit(128)
                             FROM 5 * place + 1 FOR 5)::bit(5)::integer, 1), '' ORDER BY place)
    FROM generate_series(0, 25) place
$$;

-- Take one token away, in the project of the living key that minted it, and in that one's name; true once it is. A
-- project has ten thousand an hour: every process remembers each of them.
CREATE FUNCTION revoke_token(by_key uuid, jti text) RETURNS boolean
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog AS $$
    INSERT INTO bailiwick.revocations (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)
    SELECT bailiwick.uuid7(clock_timestamp(), gen_random_uuid()), k.tenant_id, k.project_id, 'token', jti, now(), now(),
           bailiwick.shown_id('key', k.id)
    FROM bailiwick.api_keys k
    WHERE k.id = by_key AND k.revoked_at IS NULL AND octet_length(jti) BETWEEN 1 AND 255
      AND (SELECT count(*) FROM bailiwick.revocations r
           WHERE r.tenant_id = k.tenant_id AND r.project_id = k.project_id AND r.kind = 'token'
             AND r.id > bailiwick.uuid7(now() - interval '1 hour', '00000000-0000-0000-0000-000000000000')) < 10000
    RETURNING true
$$;
REVOKE ALL ON FUNCTION uuid7(timestamptz, uuid), shown_id(text, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION revoke_token(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_token(uuid, text) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
