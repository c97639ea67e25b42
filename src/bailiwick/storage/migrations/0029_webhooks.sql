-- Webhooks: where a tenant is told what happens, and what is still to be told there.

-- `secret` signs what goes there, and `old_secret` too until `old_secret_until`, both sealed for their row. Until
-- `leased_until` one process delivers there, and no other. `failing_since`: an event was given up, and none delivered since.
CREATE TABLE webhooks (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name             text NOT NULL,
    url              text NOT NULL,
    events           text[] NOT NULL,
    status           text NOT NULL CHECK (status IN ('active', 'paused')),
    secret           bytea NOT NULL,
    old_secret       bytea,
    old_secret_until timestamptz,
    failing_since    timestamptz,
    leased_until     timestamptz NOT NULL DEFAULT 'epoch',
    created_at       timestamptz NOT NULL,
    created_by       text NOT NULL,
    UNIQUE (tenant_id, id)
);

-- The outbox: written in the transaction of what it tells. An event has the same id and body at every webhook, however
-- often it is delivered. `next_attempt_at` stands where there is one; `last_error` says in words why there was no answer.
CREATE TABLE webhook_deliveries (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    webhook_id      uuid NOT NULL,
    event_id        uuid NOT NULL,
    event           text NOT NULL,
    body            text NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz CHECK ((next_attempt_at IS NOT NULL) = (status = 'pending')),
    last_attempt_at timestamptz,
    last_status     integer,
    last_error      text,
    created_at      timestamptz NOT NULL,
    UNIQUE (tenant_id, webhook_id, event_id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (tenant_id, webhook_id, next_attempt_at)
    WHERE status = 'pending';
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (tenant_id, webhook_id, id);
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

-- The hours of tenants that have themselves told of each: whether calls of it were settled or corrected since it was told
-- last, and how often it was.
CREATE TABLE usage_hours (
    tenant_id uuid NOT NULL,
    hour      timestamptz NOT NULL,
    changed   boolean NOT NULL DEFAULT true,
    revision  integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, hour)
);
CREATE INDEX usage_hours_changed ON usage_hours (tenant_id, hour) WHERE changed;

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['webhooks', 'webhook_deliveries'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
END
$$;
ALTER TABLE usage_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_hours FORCE ROW LEVEL SECURITY;
CREATE POLICY operator_all ON usage_hours TO bailiwick_operator USING (true) WITH CHECK (true);
CREATE POLICY owner_rotates ON webhooks TO bailiwick_owner USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks TO bailiwick_control;
GRANT SELECT, INSERT, UPDATE ON webhook_deliveries TO bailiwick_control;
-- The operator's role delivers for every tenant.
GRANT SELECT, UPDATE ON webhooks TO bailiwick_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO bailiwick_operator;
GRANT SELECT, INSERT, UPDATE ON usage_hours TO bailiwick_operator;
