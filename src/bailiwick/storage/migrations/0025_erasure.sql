-- Whoever erases an end user puts another name in the place of theirs; amounts, and whose they were, stay as they are.
GRANT UPDATE (uid, sid) ON ledger, open_calls TO bailiwick_control;
GRANT UPDATE (uid) ON ledger_corrections, usage_hourly_of_users TO bailiwick_control;
GRANT DELETE ON refused_calls, end_users TO bailiwick_control;
CREATE POLICY control_renames ON budget_slices FOR UPDATE TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
GRANT UPDATE (subject) ON budget_slices TO bailiwick_control;
