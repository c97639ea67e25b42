-- Crossings that were refused: calls that turned to another tenant, project or user than they may. They are counted here
-- for as long as their minute lasts; then the control process writes them to the audit log.

-- `tenant_id` is whose credential it was, null for a token that is no single tenant's: the installation's log has those.
-- `actor` is the key's or the operator's id, or `user`; `uid` is whom it spoke for. What each process has counted: the largest number that
-- it told is the truth, however often it was told.
CREATE TABLE refused_crossings (
    tenant_id  uuid,
    project_id uuid,
    minute     timestamptz NOT NULL,
    actor      text COLLATE "C" NOT NULL,
    uid        text COLLATE "C",
    code       text COLLATE "C" NOT NULL,
    process_id uuid NOT NULL,
    refused    bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (tenant_id, project_id, minute, actor, uid, code, process_id)
);

ALTER TABLE refused_crossings ENABLE ROW LEVEL SECURITY;
ALTER TABLE refused_crossings FORCE ROW LEVEL SECURITY;
CREATE POLICY ledger_all ON refused_crossings TO bailiwick_ledger USING (true) WITH CHECK (true);
CREATE POLICY operator_all ON refused_crossings TO bailiwick_operator USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON refused_crossings TO bailiwick_ledger;
-- The control process counts those of operators.
GRANT SELECT, INSERT, UPDATE, DELETE ON refused_crossings TO bailiwick_operator;
