-- What operators asked for with an Idempotency-Key: written in the act's own transaction, the answer right after it.
--
-- `tenant_id` is of what was acted on, none for the installation's. `digest` is SHA-256 of what the body says; `answer`
-- is without secrets, and null only if the process ended between the act and its answer. Kept for a day.

CREATE TABLE idempotency (
    operator   text NOT NULL,
    route      text NOT NULL,
    key        text NOT NULL,
    tenant_id  uuid,
    digest     bytea NOT NULL,
    request_id text NOT NULL,
    created_at timestamptz NOT NULL,
    status     smallint,
    location   text,
    etag       text,
    answer     bytea,
    PRIMARY KEY (operator, route, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON idempotency TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON idempotency TO bailiwick_operator USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO bailiwick_control, bailiwick_operator;
