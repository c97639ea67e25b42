-- Every version of a price that a call was charged by, so that each row of the ledger can be reckoned again.

-- Written once and never changed. `id` is made of all the rest but `since`, which is when the tenant first met it.
-- `source`: 'override', or the table and its release. `rates`, by kind of token: {"base": nano-dollars per million,
-- "steps": [[input tokens above which, another], …]}. No foreign keys, as in the ledger: rows are reckoned after what they
-- speak of is gone.
CREATE TABLE price_versions (
    tenant_id uuid NOT NULL,
    id        bigint NOT NULL CHECK (id > 0),
    kind      text NOT NULL,
    model     text NOT NULL,
    source    text NOT NULL,
    rates     jsonb NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);

ALTER TABLE price_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE price_versions FORCE ROW LEVEL SECURITY;
CREATE POLICY ledger_adds ON price_versions FOR INSERT TO bailiwick_ledger WITH CHECK (true);
CREATE POLICY control_own ON price_versions FOR SELECT TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));

GRANT INSERT ON price_versions TO bailiwick_ledger;
GRANT SELECT ON price_versions TO bailiwick_control;
