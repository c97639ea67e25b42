-- The audit log as a chain: a number and a digest for each entry, and a signed head for each chain. See
-- `domain/audit_chain.py` for what they say.

-- As text, so that what was digested is read back to the byte.
ALTER TABLE audit ALTER COLUMN detail DROP DEFAULT;
ALTER TABLE audit ALTER COLUMN detail TYPE json USING detail::json;

ALTER TABLE audit
    ADD COLUMN seq    bigint NOT NULL,
    ADD COLUMN digest bytea NOT NULL;
DROP INDEX audit_of_tenant;
CREATE UNIQUE INDEX audit_chain ON audit (tenant_id, seq) NULLS NOT DISTINCT;

-- The end of each chain; the installation's has no tenant. Its row is the lock under which a chain grows. It stays when
-- its tenant is removed, as the chain does.
CREATE TABLE audit_heads (
    tenant_id uuid,
    seq       bigint NOT NULL,
    digest    bytea NOT NULL,
    signature bytea NOT NULL,
    moved_at  timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id)
);

CREATE INDEX audit_heads_moved ON audit_heads (moved_at);

ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON audit_heads TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON audit_heads TO bailiwick_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON audit_heads TO bailiwick_control, bailiwick_operator;
