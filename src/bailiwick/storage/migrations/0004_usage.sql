-- Roll-ups of the ledger, and the end users of projects.

-- Which transaction wrote a row: what a snapshot's xmin is past is complete, in whatever order it was committed. A row
-- that is corrected counts as written anew, and what it said before stays in `ledger_corrections` until nobody needs it.
ALTER TABLE ledger ADD COLUMN written_xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
-- A few bytes a hundred pages: for what was written lately, and for one call by its time.
CREATE INDEX ledger_by_age ON ledger USING brin (written_xid, opened_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE ledger_corrections (
    id            uuid NOT NULL,
    tenant_id     uuid NOT NULL,
    project_id    uuid NOT NULL,
    key_id        uuid,
    opened_at     timestamptz NOT NULL,
    cost_nano     bigint,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    latency_ms    integer NOT NULL,
    uid           text,
    provider      text NOT NULL,
    model         text NOT NULL,
    replaced_xid  bigint NOT NULL,
    written_xid   bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint
);
CREATE INDEX ledger_corrections_of_project ON ledger_corrections (tenant_id, project_id, opened_at);

-- Everything that was ever counted, as additions and subtractions, each with the transaction that made it so. The sum of
-- what is below a transaction is the same whenever it is asked for, whatever was corrected since.
CREATE VIEW usage_events WITH (security_invoker = true) AS
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C" AS uid, provider, model, latency_ms,
       written_xid AS xid, 1 AS requests, input_tokens, output_tokens, coalesce(cost_nano, 0) AS cost_nano
FROM ledger
UNION ALL
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C", provider, model, latency_ms,
       replaced_xid, 1, input_tokens, output_tokens, coalesce(cost_nano, 0)
FROM ledger_corrections
UNION ALL
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C", provider, model, latency_ms,
       written_xid, -1, -input_tokens, -output_tokens, -coalesce(cost_nano, 0)
FROM ledger_corrections;

-- The roll-ups hold exactly what was written by transactions below this one.
CREATE TABLE usage_watermark (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    xid      bigint NOT NULL DEFAULT 0
);
INSERT INTO usage_watermark DEFAULT VALUES;

-- `latency_bucket` makes a histogram of the rows of a group: they merge by adding up. Of s = the number of doublings
-- from 32 ms on, the bucket is 16 s + (milliseconds >> s): exact below 32 ms, within a sixteenth above. Never changed.
--
-- Every call is counted once in each dimension: in 'all' with the name '', by its 'key', 'provider' and 'model'. What a
-- report reads thus grows with how many there are of what it groups by, and not with how many pairs of key and model.
CREATE TABLE usage_hourly (
    tenant_id      uuid NOT NULL,
    dimension      text COLLATE "C" NOT NULL,
    at             timestamptz NOT NULL,
    project_id     uuid NOT NULL,
    name           text COLLATE "C" NOT NULL,
    latency_bucket smallint NOT NULL,
    requests       bigint NOT NULL,
    input_tokens   bigint NOT NULL,
    output_tokens  bigint NOT NULL,
    cost_nano      numeric NOT NULL,
    PRIMARY KEY (tenant_id, dimension, at, project_id, name, latency_bucket)
) WITH (fillfactor = 80);

-- The same by day of UTC, so that a report of a month reads days, and hours only at its ends.
CREATE TABLE usage_daily (
    tenant_id      uuid NOT NULL,
    dimension      text COLLATE "C" NOT NULL,
    at             timestamptz NOT NULL,
    project_id     uuid NOT NULL,
    name           text COLLATE "C" NOT NULL,
    latency_bucket smallint NOT NULL,
    requests       bigint NOT NULL,
    input_tokens   bigint NOT NULL,
    output_tokens  bigint NOT NULL,
    cost_nano      numeric NOT NULL,
    PRIMARY KEY (tenant_id, dimension, at, project_id, name, latency_bucket)
) WITH (fillfactor = 80);

-- What each end user used, by hour; '' is nobody, since a uid has a byte at least.
CREATE TABLE usage_hourly_of_users (
    tenant_id      uuid NOT NULL,
    project_id     uuid NOT NULL,
    uid            text COLLATE "C" NOT NULL,
    hour           timestamptz NOT NULL,
    key_id         uuid,
    provider       text NOT NULL,
    model          text NOT NULL,
    latency_bucket smallint NOT NULL,
    requests       bigint NOT NULL,
    input_tokens   bigint NOT NULL,
    output_tokens  bigint NOT NULL,
    cost_nano      numeric NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, uid, hour, key_id, provider, model, latency_bucket)
) WITH (fillfactor = 80);

-- Whom a project's calls named, up to the watermark, and whom an operator blocked. `seen_at` is the epoch of who was
-- blocked and never seen.
CREATE TABLE end_users (
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    uid        text COLLATE "C" NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT 'epoch',
    PRIMARY KEY (tenant_id, project_id, uid)
) WITH (fillfactor = 80);
CREATE INDEX end_users_by_time ON end_users (tenant_id, project_id, seen_at DESC, uid DESC);

-- Who is blocked, and who was: a process that knows a project up to one `change` asks for what came after it.
CREATE TABLE blocked_users (
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    uid        text COLLATE "C" NOT NULL,
    blocked    boolean NOT NULL,
    change     bigint NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by text NOT NULL,
    PRIMARY KEY (tenant_id, project_id, uid),
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX blocked_users_by_change ON blocked_users (tenant_id, project_id, change);

-- A number for each 64th of all projects, by the last byte of their id: blocking somebody makes no process forget more
-- than who is blocked there. The row's lock makes the numbers' order that of the commits.
ALTER TABLE epoch ADD COLUMN blocked bigint[] NOT NULL DEFAULT array_fill(0::bigint, ARRAY[64]);

CREATE FUNCTION move_blocked() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    part constant integer := 1 + (get_byte(uuid_send(NEW.project_id), 15) & 63);
BEGIN
    UPDATE bailiwick.epoch SET blocked[part] = blocked[part] + 1 RETURNING blocked[part] INTO NEW.change;
    PERFORM pg_notify('bailiwick_epoch', '');
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION move_blocked() FROM PUBLIC;
CREATE TRIGGER move_blocked BEFORE INSERT OR UPDATE ON blocked_users
    FOR EACH ROW EXECUTE FUNCTION move_blocked();

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['ledger_corrections', 'usage_hourly', 'usage_daily', 'usage_hourly_of_users',
                             'end_users', 'blocked_users'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        IF t <> 'end_users' THEN
            EXECUTE format('CREATE POLICY app_own ON %I FOR SELECT TO bailiwick_app USING (tenant_id = %s)', t, own);
        END IF;
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
    CREATE POLICY ledger_all ON ledger_corrections TO bailiwick_ledger USING (true) WITH CHECK (true);
END
$$;

GRANT SELECT ON usage_events, usage_watermark, ledger_corrections, usage_hourly, usage_daily, usage_hourly_of_users,
    blocked_users TO bailiwick_app, bailiwick_control, bailiwick_operator;
GRANT SELECT ON end_users TO bailiwick_control, bailiwick_operator;
GRANT INSERT ON ledger_corrections TO bailiwick_ledger;
GRANT DELETE ON ledger_corrections TO bailiwick_operator;
GRANT UPDATE ON usage_watermark TO bailiwick_operator;
GRANT INSERT, UPDATE ON usage_hourly, usage_daily, usage_hourly_of_users, end_users TO bailiwick_operator;
GRANT INSERT, UPDATE ON end_users, blocked_users TO bailiwick_control;
