-- name: take_turn
-- Whether this transaction may roll up: of several processes one at a time; any number will do that all agree on.
SELECT pg_try_advisory_xact_lock(x'726f6c6c'::bigint) AS mine,
       set_config('plan_cache_mode', 'force_custom_plan', true) AS own_plans;

-- name: watermark
-- Up to where the roll-ups go, and what may be rolled up: every transaction below has ended.
SELECT w.xid AS watermark, pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS complete
FROM bailiwick.usage_watermark w;

-- name: next_stretch
-- Up to before which transaction some thousand events reach, those of at least one; and whether there are more.
SELECT max(xid) FILTER (WHERE up_to - events < %(most)s) + 1 AS until, bool_or(up_to - events >= %(most)s) AS more
FROM (
    SELECT e.xid, count(*) AS events, sum(count(*)) OVER (ORDER BY e.xid) AS up_to
    FROM bailiwick.usage_events e
    WHERE e.xid >= %(since)s AND e.xid < %(complete)s
    GROUP BY e.xid
) AS written;

-- name: roll_up
-- Count what some transactions wrote, exactly once: the watermark moves in the same transaction. Corrections that are
-- counted with what they correct are of no more use.
WITH events AS MATERIALIZED (
    SELECT e.tenant_id, e.project_id, e.uid, e.opened_at, date_trunc('hour', e.opened_at, 'UTC') AS hour, e.key_id,
           e.provider, e.model, e.agent_id, e.tier, e.requests, e.input_tokens, e.output_tokens, e.cost_nano,
           16 * width_bucket(e.latency_ms, %(doublings)s)
           + (e.latency_ms >> width_bucket(e.latency_ms, %(doublings)s)) AS latency_bucket
    FROM bailiwick.usage_events e
    WHERE e.xid >= %(since)s AND e.xid < %(until)s
), slices AS MATERIALIZED (
    SELECT e.tenant_id, d.dimension, e.hour, e.project_id, d.name, e.latency_bucket, sum(e.requests) AS requests,
           sum(e.input_tokens) AS input_tokens, sum(e.output_tokens) AS output_tokens, sum(e.cost_nano) AS cost_nano
    FROM events e
    CROSS JOIN LATERAL (VALUES ('all', ''), ('key', coalesce(e.key_id::text, '')), ('provider', e.provider),
                               ('model', e.provider || '/' || e.model), ('agent', coalesce(e.agent_id::text, '')),
                               ('tier', e.tier)) AS d (dimension, name)
    GROUP BY e.tenant_id, d.dimension, e.hour, e.project_id, d.name, e.latency_bucket
), hourly AS (
    INSERT INTO bailiwick.usage_hourly AS r (tenant_id, dimension, at, project_id, name, latency_bucket, requests,
                                             input_tokens, output_tokens, cost_nano)
    SELECT tenant_id, dimension, hour, project_id, name, latency_bucket, requests, input_tokens, output_tokens,
           cost_nano
    FROM slices
    WHERE true
    ON CONFLICT (tenant_id, dimension, at, project_id, name, latency_bucket) DO UPDATE
    SET requests = r.requests + excluded.requests, input_tokens = r.input_tokens + excluded.input_tokens,
        output_tokens = r.output_tokens + excluded.output_tokens, cost_nano = r.cost_nano + excluded.cost_nano
), daily AS (
    INSERT INTO bailiwick.usage_daily AS r (tenant_id, dimension, at, project_id, name, latency_bucket, requests,
                                             input_tokens, output_tokens, cost_nano)
    SELECT tenant_id, dimension, date_trunc('day', hour, 'UTC'), project_id, name, latency_bucket, sum(requests),
           sum(input_tokens), sum(output_tokens), sum(cost_nano)
    FROM slices
    GROUP BY tenant_id, dimension, date_trunc('day', hour, 'UTC'), project_id, name, latency_bucket
    ON CONFLICT (tenant_id, dimension, at, project_id, name, latency_bucket) DO UPDATE
    SET requests = r.requests + excluded.requests, input_tokens = r.input_tokens + excluded.input_tokens,
        output_tokens = r.output_tokens + excluded.output_tokens, cost_nano = r.cost_nano + excluded.cost_nano
), of_users AS (
    INSERT INTO bailiwick.usage_hourly_of_users AS r (tenant_id, project_id, uid, hour, key_id, provider, model,
                                                      agent_id, tier, latency_bucket, requests, input_tokens,
                                                      output_tokens, cost_nano)
    SELECT tenant_id, project_id, uid, hour, key_id, provider, model, agent_id, tier, latency_bucket, sum(requests),
           sum(input_tokens), sum(output_tokens), sum(cost_nano)
    FROM events
    GROUP BY tenant_id, project_id, uid, hour, key_id, provider, model, agent_id, tier, latency_bucket
    ON CONFLICT (tenant_id, project_id, uid, hour, key_id, provider, model, agent_id, tier, latency_bucket) DO UPDATE
    SET requests = r.requests + excluded.requests, input_tokens = r.input_tokens + excluded.input_tokens,
        output_tokens = r.output_tokens + excluded.output_tokens, cost_nano = r.cost_nano + excluded.cost_nano
), seen AS (
    INSERT INTO bailiwick.end_users AS u (tenant_id, project_id, uid, seen_at)
    SELECT tenant_id, project_id, uid, max(opened_at) FROM events WHERE uid <> '' GROUP BY tenant_id, project_id, uid
    ON CONFLICT (tenant_id, project_id, uid) DO UPDATE SET seen_at = excluded.seen_at
    WHERE u.seen_at < excluded.seen_at
), used AS (
    INSERT INTO bailiwick.key_uses AS k (tenant_id, project_id, key_id, used_at)
    SELECT tenant_id, project_id, key_id, max(opened_at) FROM events WHERE key_id IS NOT NULL
    GROUP BY tenant_id, project_id, key_id
    ON CONFLICT (tenant_id, key_id) DO UPDATE SET used_at = excluded.used_at WHERE k.used_at < excluded.used_at
), hours AS (
    INSERT INTO bailiwick.usage_hours AS h (tenant_id, hour)
    SELECT DISTINCT e.tenant_id, e.hour FROM events e
    WHERE EXISTS (SELECT FROM bailiwick.webhooks w
                  WHERE w.tenant_id = e.tenant_id AND 'usage.hour' = ANY (w.events))
    ON CONFLICT (tenant_id, hour) DO UPDATE SET changed = true WHERE NOT h.changed
), counted AS (
    DELETE FROM bailiwick.ledger_corrections c WHERE c.written_xid < %(until)s AND c.replaced_xid < %(until)s
)
UPDATE bailiwick.usage_watermark SET xid = %(until)s;
