-- When a key's latest call was opened, up to the roll-ups' watermark: the follower writes it, and no call waits for it.
CREATE TABLE key_uses (
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    key_id     uuid NOT NULL,
    used_at    timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
) WITH (fillfactor = 80);

ALTER TABLE key_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_uses FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON key_uses FOR SELECT TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON key_uses TO bailiwick_operator USING (true) WITH CHECK (true);

GRANT SELECT ON key_uses TO bailiwick_control, bailiwick_operator;
GRANT INSERT, UPDATE ON key_uses TO bailiwick_operator;
