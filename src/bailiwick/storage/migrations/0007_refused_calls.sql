-- Calls that were refused: the newest for whoever asks why, and how many there were by the hour.

-- `step` is where a call was refused, null for trouble of ours; `reason` is what the caller was told.
CREATE TABLE refused_calls (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    key_id     uuid NOT NULL,
    at         timestamptz NOT NULL,
    uid        text,
    sid        text,
    door       text NOT NULL,
    status     smallint NOT NULL,
    code       text NOT NULL,
    step       text,
    reason     text NOT NULL
);
CREATE INDEX refused_calls_of_tenant ON refused_calls (tenant_id, id);

-- What each process has counted: the largest number that it told is the truth, however often it was told.
CREATE TABLE usage_refusals (
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    hour       timestamptz NOT NULL,
    code       text NOT NULL,
    process_id uuid NOT NULL,
    refused    bigint NOT NULL,
    PRIMARY KEY (tenant_id, project_id, hour, code, process_id)
);

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['refused_calls', 'usage_refusals'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY ledger_all ON %I TO bailiwick_ledger USING (true) WITH CHECK (true)', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
    -- What was used and what was refused is one report.
    EXECUTE format('CREATE POLICY app_own ON usage_refusals FOR SELECT TO bailiwick_app USING (tenant_id = %s)', own);
    FOREACH t IN ARRAY ARRAY['refused_calls', 'open_calls', 'ledger'] LOOP
        EXECUTE format('CREATE POLICY auth_look_up ON %I FOR SELECT TO bailiwick_auth USING (true)', t);
    END LOOP;
END
$$;

GRANT SELECT, INSERT ON refused_calls TO bailiwick_ledger;
GRANT SELECT, INSERT, UPDATE ON usage_refusals TO bailiwick_ledger;
GRANT SELECT ON refused_calls, usage_refusals TO bailiwick_control;
GRANT SELECT, DELETE ON refused_calls TO bailiwick_operator;
GRANT SELECT ON usage_refusals TO bailiwick_app, bailiwick_operator;
GRANT SELECT ON refused_calls, open_calls, ledger TO bailiwick_auth;

-- When a request came: its id is a UUIDv7, which begins with Unix time in milliseconds.
CREATE FUNCTION time_of_request(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
    SELECT to_timestamp(('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0)
$$;
REVOKE ALL ON FUNCTION time_of_request(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION time_of_request(uuid) TO bailiwick_control, bailiwick_auth;

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- Whose call a request was, by its id alone, which nobody can guess.
CREATE FUNCTION tenant_of_request(wanted uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT coalesce((SELECT tenant_id FROM bailiwick.refused_calls WHERE id = wanted),
                    (SELECT tenant_id FROM bailiwick.open_calls WHERE id = wanted),
                    (SELECT tenant_id FROM bailiwick.ledger
                     WHERE id = wanted AND opened_at >= bailiwick.time_of_request(wanted) - interval '1 minute'
                       AND opened_at < bailiwick.time_of_request(wanted) + interval '1 hour'))
$$;
REVOKE ALL ON FUNCTION tenant_of_request(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenant_of_request(uuid) TO bailiwick_control;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
