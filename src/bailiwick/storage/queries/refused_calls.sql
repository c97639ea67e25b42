-- name: add_refused
-- Keep calls that were refused.
INSERT INTO bailiwick.refused_calls (id, tenant_id, project_id, key_id, at, uid, sid, door, status, code, step, reason)
SELECT c.id, c.tenant_id, c.project_id, c.key_id, 'epoch'::timestamptz + c.at_us * interval '1 microsecond', c.uid,
       c.sid, c.door, c.status, c.code, c.step, c.reason
FROM json_to_recordset($1::json) AS c (
    id uuid, tenant_id uuid, project_id uuid, key_id uuid, at_us bigint, uid text, sid text, door text, status smallint,
    code text, step text, reason text)
ON CONFLICT (id) DO NOTHING;

-- name: count_refusals
-- Say how many calls a process has refused so far within an hour: told twice, it is counted once.
INSERT INTO bailiwick.usage_refusals AS r (tenant_id, project_id, hour, code, process_id, refused)
SELECT c.tenant_id, c.project_id, 'epoch'::timestamptz + c.hour_us * interval '1 microsecond', c.code, $1::uuid,
       c.refused
FROM json_to_recordset($2::json) AS c (tenant_id uuid, project_id uuid, code text, hour_us bigint, refused bigint)
ON CONFLICT (tenant_id, project_id, hour, code, process_id)
DO UPDATE SET refused = excluded.refused WHERE r.refused < excluded.refused;

-- name: trim_refused
-- Remove the old ones, and of each project and of all together those beyond so many.
DELETE FROM bailiwick.refused_calls r
USING (SELECT id, at, row_number() OVER (PARTITION BY tenant_id, project_id ORDER BY at DESC, id DESC) AS of_project,
              row_number() OVER (ORDER BY at DESC, id DESC) AS of_all
       FROM bailiwick.refused_calls) AS ranked
WHERE r.id = ranked.id
  AND (ranked.of_project > %(of_project)s OR ranked.of_all > %(of_all)s
       OR ranked.at < now() - %(days)s * interval '1 day');

-- name: tenant_of_request
-- Whose call this is.
SELECT bailiwick.tenant_of_request(%s) AS tenant_id;

-- name: find_call
-- One call of a tenant, whatever became of it. It was opened when its request came, or a wait for its body and its turn later.
SELECT 'refused' AS state, id, tenant_id, project_id, key_id, at, uid, sid, door, status, code, step, reason,
       NULL AS provider, NULL AS model, NULL AS outcome, NULL AS usage_source, NULL AS input_tokens,
       NULL AS output_tokens, NULL AS cost_nano, NULL AS latency_ms, NULL AS agent_id, NULL AS agent_version,
       NULL AS tier, NULL AS price, NULL AS asked
FROM bailiwick.refused_calls WHERE tenant_id = %(tenant)s AND id = %(id)s AND status >= 400
UNION ALL
SELECT 'settled', id, tenant_id, project_id, key_id, opened_at, uid, sid, NULL, status, NULL, NULL,
       (SELECT r.reason FROM bailiwick.refused_calls r
        WHERE r.tenant_id = %(tenant)s AND r.id = %(id)s AND r.status < 400),
       provider, model, outcome, usage_source, input_tokens, output_tokens, cost_nano, latency_ms, agent_id,
       agent_version, tier, price, coalesce(asked, model)
FROM bailiwick.ledger
WHERE tenant_id = %(tenant)s AND id = %(id)s
  AND opened_at >= bailiwick.time_of_request(%(id)s) - interval '1 minute'
  AND opened_at < bailiwick.time_of_request(%(id)s) + interval '1 hour'
UNION ALL
SELECT 'open', id, tenant_id, project_id, key_id, opened_at, uid, sid, NULL, NULL, NULL, NULL, NULL,
       provider, model, NULL, NULL, NULL, NULL, NULL, NULL, agent_id, agent_version, tier, price,
       coalesce(asked, model)
FROM bailiwick.open_calls WHERE tenant_id = %(tenant)s AND id = %(id)s;

-- name: list_refused
-- The refused calls of a tenant, of a project or of an end user if one is given, the newest first.
SELECT id, tenant_id, project_id, key_id, at, uid, sid, door, status, code, step, reason
FROM bailiwick.refused_calls
WHERE tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR project_id = %(project)s)
  AND (%(uid)s::text IS NULL OR uid = %(uid)s) AND (%(after)s::uuid IS NULL OR id < %(after)s)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: count_by_time
-- How many calls were refused in each hour, or on each day, of a span, by project and code.
SELECT date_trunc(%(step)s, hour, 'UTC') AS at, project_id, code, sum(refused) AS refused
FROM bailiwick.usage_refusals
WHERE tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR project_id = %(project)s)
  AND hour >= %(first_hour)s AND hour < %(end_hour)s
GROUP BY 1, project_id, code
ORDER BY 1, project_id, code;
