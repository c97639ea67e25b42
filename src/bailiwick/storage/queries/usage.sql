-- Reports add up what is rolled up of every hour and day that they touch, add what was written since, and take away what
-- was rolled up of these hours and is not asked for. `first_hour` and `end_hour` are the span, widened to whole hours.

-- name: exists
-- Whether there is such a project, or such a tenant.
SELECT CASE WHEN %(project)s::uuid IS NULL
            THEN EXISTS (SELECT FROM bailiwick.tenants t WHERE t.id = %(tenant)s)
            ELSE EXISTS (SELECT FROM bailiwick.projects p WHERE p.tenant_id = %(tenant)s AND p.id = %(project)s)
       END AS found;

-- name: usage_by_group
-- For each of some groupings a page of groups in the order of their keys, those that name none first; and before all the
-- total. Without `uids` of everybody, from what is rolled up by a grouping's own dimension, in days between `first_day`
-- and `end_day`; else of these end users alone. With `refusals_by` also how many calls were refused in each hour or on
-- each day, by project and code, in the order of time.
WITH asked AS (
    SELECT group_by, dimension, first_day, end_day, most
    FROM unnest(%(groups)s::text[], %(dimensions)s::text[], %(first_days)s::timestamptz[], %(end_days)s::timestamptz[],
                %(limits)s::int[]) AS a (group_by, dimension, first_day, end_day, most)
), loose AS MATERIALIZED (
    SELECT u.hour, u.project_id, u.key_id, u.uid, u.provider, u.model, u.agent_id, u.tier, u.latency_bucket, u.requests,
           u.input_tokens, u.output_tokens, u.cost_nano
    FROM bailiwick.usage_hourly_of_users u
    WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = ANY (%(uids)s::text[])
      AND u.hour >= %(first_hour)s AND u.hour < %(end_hour)s
    UNION ALL
    SELECT date_trunc('hour', e.opened_at, 'UTC'), e.project_id, e.key_id, e.uid, e.provider, e.model,
           e.agent_id, e.tier,
           16 * width_bucket(e.latency_ms, %(doublings)s) + (e.latency_ms >> width_bucket(e.latency_ms, %(doublings)s)),
           e.sign * e.requests, e.sign * e.input_tokens, e.sign * e.output_tokens, e.sign * e.cost_nano::numeric
    FROM (
        SELECT 1::bigint AS sign, n.*
        FROM bailiwick.usage_events n
        WHERE n.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR n.project_id = %(project)s)
          AND n.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND n.xid < %(no_xid)s
          AND n.opened_at >= %(since)s AND n.opened_at < %(until)s
        UNION ALL
        SELECT -1, b.*
        FROM bailiwick.usage_events b
        WHERE b.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR b.project_id = %(project)s)
          AND b.xid < (SELECT w.xid FROM bailiwick.usage_watermark w)
          AND b.opened_at >= %(first_hour)s AND b.opened_at < %(since)s
        UNION ALL
        SELECT -1, a.*
        FROM bailiwick.usage_events a
        WHERE a.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR a.project_id = %(project)s)
          AND a.xid < (SELECT w.xid FROM bailiwick.usage_watermark w)
          AND a.opened_at >= %(until)s AND a.opened_at < %(end_hour)s
    ) AS e
    WHERE %(uids)s::text[] IS NULL OR e.uid = ANY (%(uids)s::text[])
), pieces AS MATERIALIZED (
    SELECT group_by, at, name, latency_bucket, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano
    FROM (
        SELECT a.group_by, CASE a.group_by WHEN 'day' THEN date_trunc('day', r.at, 'UTC') WHEN 'hour' THEN r.at END AS at,
               CASE a.group_by WHEN 'project' THEN r.project_id::text ELSE r.name END COLLATE "C" AS name,
               r.latency_bucket, r.requests, r.input_tokens, r.output_tokens, r.cost_nano
        FROM asked a
        CROSS JOIN LATERAL (
            SELECT d.* FROM bailiwick.usage_daily d
            WHERE d.tenant_id = %(tenant)s AND d.dimension = a.dimension AND d.at >= a.first_day AND d.at < a.end_day
              AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s)
            UNION ALL
            SELECT b.* FROM bailiwick.usage_hourly b
            WHERE b.tenant_id = %(tenant)s AND b.dimension = a.dimension
              AND b.at >= %(first_hour)s AND b.at < a.first_day
              AND (%(project)s::uuid IS NULL OR b.project_id = %(project)s)
            UNION ALL
            SELECT e.* FROM bailiwick.usage_hourly e
            WHERE e.tenant_id = %(tenant)s AND e.dimension = a.dimension
              AND e.at >= a.end_day AND e.at < %(end_hour)s
              AND (%(project)s::uuid IS NULL OR e.project_id = %(project)s)
        ) AS r
        WHERE %(uids)s::text[] IS NULL
        UNION ALL
        SELECT a.group_by,
               CASE a.group_by WHEN 'day' THEN date_trunc('day', l.hour, 'UTC') WHEN 'hour' THEN l.hour END,
               CASE a.group_by WHEN 'project' THEN l.project_id::text WHEN 'key' THEN coalesce(l.key_id::text, '')
                               WHEN 'user' THEN l.uid WHEN 'provider' THEN l.provider
                               WHEN 'model' THEN l.provider || '/' || l.model
                               WHEN 'agent' THEN coalesce(l.agent_id::text, '') WHEN 'tier' THEN l.tier ELSE '' END,
               l.latency_bucket, l.requests, l.input_tokens, l.output_tokens, l.cost_nano
        FROM asked a CROSS JOIN loose l
    ) AS placed
    GROUP BY group_by, at, name, latency_bucket
), buckets AS (
    SELECT group_by, at, name, latency_bucket, false AS is_total, requests, input_tokens, output_tokens, cost_nano
    FROM pieces
    UNION ALL
    SELECT NULL, NULL, NULL, latency_bucket, true, sum(requests), sum(input_tokens), sum(output_tokens), sum(cost_nano)
    FROM pieces
    WHERE group_by = (%(groups)s::text[])[1]
    GROUP BY latency_bucket
), counted AS (
    SELECT group_by, at, name, is_total, latency_bucket, requests, input_tokens, output_tokens, cost_nano,
           sum(requests) OVER (PARTITION BY group_by, is_total, at, name ORDER BY latency_bucket) AS up_to,
           sum(requests) OVER (PARTITION BY group_by, is_total, at, name) AS whole
    FROM buckets
), keyed AS (
    SELECT group_by, is_total,
           CASE group_by WHEN 'day' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                         WHEN 'hour' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                         ELSE nullif(name, '') END COLLATE "C" AS key,
           sum(requests) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
           sum(cost_nano) AS cost_nano, min(latency_bucket) FILTER (WHERE up_to * 2 >= whole) AS p50,
           min(latency_bucket) FILTER (WHERE up_to * 20 >= whole * 19) AS p95
    FROM counted
    WHERE whole > 0
    GROUP BY group_by, is_total, at, name
), ranked AS (
    SELECT group_by, is_total, key, requests, input_tokens, output_tokens, cost_nano, p50, p95,
           row_number() OVER (PARTITION BY group_by ORDER BY key NULLS FIRST) AS place
    FROM keyed
    WHERE is_total OR NOT %(paged)s::boolean OR key > %(after)s::text OR (%(after)s::text IS NULL AND key IS NOT NULL)
)
SELECT r.group_by, r.is_total, r.key, r.requests, r.input_tokens, r.output_tokens, r.cost_nano, r.p50, r.p95,
       CASE r.group_by
           WHEN 'project' THEN (SELECT p.name FROM bailiwick.projects p
                                WHERE p.tenant_id = %(tenant)s AND p.id = r.key::uuid)
           WHEN 'agent' THEN (SELECT g.name FROM bailiwick.agents g
                              WHERE g.tenant_id = %(tenant)s AND g.id = r.key::uuid) END AS label,
       NULL::timestamptz AS at, NULL::uuid AS project_id, r.place
FROM ranked r LEFT JOIN asked a ON a.group_by = r.group_by
WHERE r.is_total OR r.place <= a.most
UNION ALL
SELECT 'refusal', false, f.code, sum(f.refused), 0, 0, 0, NULL, NULL, NULL,
       date_trunc(%(refusals_by)s::text, f.hour, 'UTC'), f.project_id, 0
FROM bailiwick.usage_refusals f
WHERE %(refusals_by)s::text IS NOT NULL AND f.tenant_id = %(tenant)s
  AND (%(project)s::uuid IS NULL OR f.project_id = %(project)s)
  AND f.hour >= %(first_hour)s AND f.hour < %(end_hour)s
GROUP BY 11, f.project_id, f.code
ORDER BY is_total DESC, group_by, place, at, project_id, key;

-- name: users_in_span
-- The next end users of a project who may have called within a span, in the order of their ids, '' for nobody; as many
-- more than asked for as may turn out to have called only beside it.
WITH since_then AS (
    SELECT DISTINCT e.uid FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s
      AND e.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND e.xid < %(no_xid)s AND e.opened_at >= %(since)s AND e.opened_at < %(until)s
      AND (NOT %(paged)s::boolean OR e.uid > coalesce(%(after)s::text, ''))
), beside AS (
    SELECT count(DISTINCT e.uid) AS users FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s AND e.xid < (SELECT w.xid FROM bailiwick.usage_watermark w)
      AND ((e.opened_at >= %(first_hour)s AND e.opened_at < %(since)s)
           OR (e.opened_at >= %(until)s AND e.opened_at < %(end_hour)s))
)
SELECT uid FROM (
    (SELECT u.uid FROM bailiwick.usage_hourly_of_users u
     WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s
       AND u.hour >= %(first_hour)s AND u.hour < %(end_hour)s
       AND (NOT %(paged)s::boolean OR u.uid > coalesce(%(after)s::text, ''))
     GROUP BY u.uid ORDER BY u.uid LIMIT %(limit)s + (SELECT users FROM beside))
    UNION
    SELECT uid FROM since_then
) AS found
ORDER BY uid
LIMIT %(limit)s + (SELECT users FROM beside);

-- name: usage_by_session
-- A page of a project's sessions in the order of their ids, those calls first that name none, and before all the total:
-- from the ledger itself, since nothing is rolled up by session.
WITH buckets AS (
    SELECT l.sid, GROUPING(l.sid) = 1 AS is_total, l.bucket, count(*) AS requests, sum(l.input_tokens) AS input_tokens,
           sum(l.output_tokens) AS output_tokens, sum(l.cost_nano) AS cost_nano
    FROM (
        SELECT c.sid COLLATE "C" AS sid, c.input_tokens, c.output_tokens, coalesce(c.cost_nano, 0) AS cost_nano,
               16 * width_bucket(c.latency_ms, %(doublings)s)
               + (c.latency_ms >> width_bucket(c.latency_ms, %(doublings)s)) AS bucket
        FROM bailiwick.ledger c
        WHERE c.tenant_id = %(tenant)s AND c.project_id = %(project)s
          AND c.opened_at >= %(since)s AND c.opened_at < %(until)s
          AND (%(uids)s::text[] IS NULL OR c.uid = ANY (%(uids)s::text[]))
    ) AS l
    GROUP BY GROUPING SETS ((l.sid, l.bucket), (l.bucket))
), counted AS (
    SELECT sid, is_total, bucket, requests, input_tokens, output_tokens, cost_nano,
           sum(requests) OVER (PARTITION BY is_total, sid ORDER BY bucket) AS up_to,
           sum(requests) OVER (PARTITION BY is_total, sid) AS whole
    FROM buckets
    WHERE is_total OR NOT %(paged)s::boolean OR sid > %(after)s::text OR (%(after)s::text IS NULL AND sid IS NOT NULL)
)
SELECT is_total, sid AS key, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
       sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano,
       min(bucket) FILTER (WHERE up_to * 2 >= whole) AS p50, min(bucket) FILTER (WHERE up_to * 20 >= whole * 19) AS p95
FROM counted
GROUP BY is_total, sid
ORDER BY is_total DESC, sid NULLS FIRST
LIMIT %(limit)s + 1;
