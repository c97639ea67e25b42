-- Reports add up what is rolled up of every hour that they touch, add what was written since, and take away what was
-- rolled up of these hours and is not asked for. `first_hour` and `end_hour` are the span, widened to whole hours.

-- name: watermark
-- Up to where the roll-ups go, for a report about a project or a tenant; nothing if there is no such.
SELECT w.xid FROM bailiwick.usage_watermark w
WHERE CASE WHEN %(project)s::uuid IS NULL
           THEN EXISTS (SELECT FROM bailiwick.tenants t WHERE t.id = %(tenant)s)
           ELSE EXISTS (SELECT FROM bailiwick.projects p WHERE p.tenant_id = %(tenant)s AND p.id = %(project)s) END;

-- name: usage_by_group
-- A page of groups in the order of their keys, those that name none first; and before all the total. Without `uids` of
-- everybody, else of these end users alone.
WITH cells AS (
    SELECT hour, project_id, key_id, uid, provider, model, latency_bucket, requests, input_tokens, output_tokens,
           cost_nano
    FROM (
        SELECT r.hour, r.project_id, r.key_id, '' AS uid, r.provider, r.model, r.latency_bucket, r.requests,
               r.input_tokens, r.output_tokens, r.cost_nano
        FROM bailiwick.usage_hourly r
        WHERE %(uids)s::text[] IS NULL AND r.tenant_id = %(tenant)s
          AND (%(project)s::uuid IS NULL OR r.project_id = %(project)s)
          AND r.hour >= %(first_hour)s AND r.hour < %(end_hour)s
        UNION ALL
        SELECT u.hour, u.project_id, u.key_id, u.uid, u.provider, u.model, u.latency_bucket, u.requests,
               u.input_tokens, u.output_tokens, u.cost_nano
        FROM bailiwick.usage_hourly_of_users u
        WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = ANY (%(uids)s::text[])
          AND u.hour >= %(first_hour)s AND u.hour < %(end_hour)s
    ) AS rolled_up
    UNION ALL
    SELECT date_trunc('hour', e.opened_at, 'UTC'), e.project_id, e.key_id, e.uid, e.provider, e.model,
           16 * width_bucket(e.latency_ms, %(doublings)s) + (e.latency_ms >> width_bucket(e.latency_ms, %(doublings)s)),
           e.sign * e.requests, e.sign * e.input_tokens, e.sign * e.output_tokens, e.sign * e.cost_nano::numeric
    FROM (
        SELECT 1::bigint AS sign, n.*
        FROM bailiwick.usage_events n
        WHERE n.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR n.project_id = %(project)s)
          AND n.xid >= %(xid)s AND n.opened_at >= %(since)s AND n.opened_at < %(until)s
        UNION ALL
        SELECT -1, b.*
        FROM bailiwick.usage_events b
        WHERE b.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR b.project_id = %(project)s)
          AND b.xid < %(xid)s AND b.opened_at >= %(first_hour)s AND b.opened_at < %(since)s
        UNION ALL
        SELECT -1, a.*
        FROM bailiwick.usage_events a
        WHERE a.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR a.project_id = %(project)s)
          AND a.xid < %(xid)s AND a.opened_at >= %(until)s AND a.opened_at < %(end_hour)s
    ) AS e
    WHERE %(uids)s::text[] IS NULL OR e.uid = ANY (%(uids)s::text[])
), pieces AS MATERIALIZED (
    SELECT at, id, name, latency_bucket, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano
    FROM (
        SELECT CASE %(group_by)s WHEN 'day' THEN date_trunc('day', hour, 'UTC') WHEN 'hour' THEN hour END AS at,
               CASE %(group_by)s WHEN 'project' THEN project_id WHEN 'key' THEN key_id END AS id,
               CASE %(group_by)s WHEN 'user' THEN uid WHEN 'provider' THEN provider
                                 WHEN 'model' THEN provider || '/' || model END COLLATE "C" AS name,
               latency_bucket, requests, input_tokens, output_tokens, cost_nano
        FROM cells
    ) AS placed
    GROUP BY at, id, name, latency_bucket
), buckets AS (
    SELECT at, id, name, latency_bucket, false AS is_total, requests, input_tokens, output_tokens, cost_nano
    FROM pieces
    UNION ALL
    SELECT NULL, NULL, NULL, latency_bucket, true, sum(requests), sum(input_tokens), sum(output_tokens), sum(cost_nano)
    FROM pieces
    GROUP BY latency_bucket
), counted AS (
    SELECT at, id, name, is_total, latency_bucket, requests, input_tokens, output_tokens, cost_nano,
           sum(requests) OVER (PARTITION BY is_total, at, id, name ORDER BY latency_bucket) AS up_to,
           sum(requests) OVER (PARTITION BY is_total, at, id, name) AS whole
    FROM buckets
), keyed AS (
    SELECT is_total,
           CASE %(group_by)s WHEN 'day' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
                             WHEN 'hour' THEN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
                             ELSE coalesce(nullif(name, ''), id::text) END COLLATE "C" AS key,
           sum(requests) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
           sum(cost_nano) AS cost_nano, min(latency_bucket) FILTER (WHERE up_to * 2 >= whole) AS p50,
           min(latency_bucket) FILTER (WHERE up_to * 20 >= whole * 19) AS p95
    FROM counted
    WHERE whole > 0
    GROUP BY is_total, at, id, name
)
SELECT is_total, key, requests, input_tokens, output_tokens, cost_nano, p50, p95
FROM keyed
WHERE is_total OR NOT %(paged)s::boolean OR key > %(after)s::text OR (%(after)s::text IS NULL AND key IS NOT NULL)
ORDER BY is_total DESC, key NULLS FIRST
LIMIT %(limit)s + 1;

-- name: users_in_span
-- The next end users of a project who may have called within a span, in the order of their ids, '' for nobody; as many
-- more than asked for as may turn out to have called only beside it.
WITH since_then AS (
    SELECT DISTINCT e.uid FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s
      AND e.xid >= %(xid)s AND e.opened_at >= %(since)s AND e.opened_at < %(until)s
      AND (NOT %(paged)s::boolean OR e.uid > coalesce(%(after)s::text, ''))
), beside AS (
    SELECT count(DISTINCT e.uid) AS users FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s AND e.xid < %(xid)s
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
