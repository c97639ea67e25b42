-- Usage by agent and by tier.

-- Which plan of its project a call was made on; NULL for none.
ALTER TABLE open_calls ADD COLUMN tier text;
ALTER TABLE ledger ADD COLUMN tier text;
ALTER TABLE ledger_corrections ADD COLUMN agent_id uuid, ADD COLUMN tier text;

CREATE OR REPLACE VIEW usage_events WITH (security_invoker = true) AS
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C" AS uid, provider, model, latency_ms,
       written_xid AS xid, 1 AS requests, input_tokens, output_tokens, coalesce(cost_nano, 0) AS cost_nano, agent_id,
       coalesce(tier, '') COLLATE "C" AS tier
FROM ledger
UNION ALL
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C", provider, model, latency_ms,
       replaced_xid, 1, input_tokens, output_tokens, coalesce(cost_nano, 0), agent_id, coalesce(tier, '') COLLATE "C"
FROM ledger_corrections
UNION ALL
SELECT tenant_id, project_id, opened_at, key_id, coalesce(uid, '') COLLATE "C", provider, model, latency_ms,
       written_xid, -1, -input_tokens, -output_tokens, -coalesce(cost_nano, 0), agent_id, coalesce(tier, '') COLLATE "C"
FROM ledger_corrections;

-- What is rolled up gains the dimensions 'agent' and 'tier', and is rolled up from the beginning; reports read the ledger
-- until then. A process of the version before finds no such constraint any more and leaves that to those of this one.
TRUNCATE usage_hourly, usage_daily, usage_hourly_of_users;
UPDATE usage_watermark SET xid = 0;
DO $$
DECLARE
    old text;
BEGIN
    SELECT conname INTO STRICT old FROM pg_constraint
    WHERE conrelid = 'bailiwick.usage_hourly_of_users'::regclass AND contype = 'u';
    EXECUTE format('ALTER TABLE usage_hourly_of_users DROP CONSTRAINT %I', old);
END $$;
ALTER TABLE usage_hourly_of_users ADD COLUMN agent_id uuid, ADD COLUMN tier text COLLATE "C" NOT NULL;
ALTER TABLE usage_hourly_of_users ADD UNIQUE NULLS NOT DISTINCT
    (tenant_id, project_id, uid, hour, key_id, provider, model, agent_id, tier, latency_bucket);
