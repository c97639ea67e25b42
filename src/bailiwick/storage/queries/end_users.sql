-- name: list_users
-- A page of a project's end users, from the last seen to the first, with what each used within a span. Those of the calls that are not rolled up yet are
-- looked at one and all, since each may stand elsewhere than the roll-up has it.
WITH lately AS (
    SELECT e.uid, greatest(max(e.opened_at), (SELECT u.seen_at FROM bailiwick.end_users u
                                              WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s
                                                AND u.uid = e.uid)) AS seen_at
    FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s AND e.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND e.xid < %(no_xid)s
      AND e.uid <> '' AND e.uid ^@ %(prefix)s::text
    GROUP BY e.uid
), page AS (
    SELECT uid, max(seen_at) AS seen_at
    FROM (
        (SELECT u.uid, u.seen_at FROM bailiwick.end_users u
         WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid ^@ %(prefix)s::text
           AND (u.seen_at, u.uid) < (%(after_at)s::timestamptz, %(after_uid)s::text)
           AND (NOT %(blocked)s::boolean
                OR EXISTS (SELECT FROM bailiwick.blocked_users b
                           WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = u.uid
                             AND b.blocked))
         ORDER BY u.seen_at DESC, u.uid DESC LIMIT %(limit)s + (SELECT count(*) FROM lately))
        UNION ALL
        SELECT uid, seen_at FROM lately
    ) AS found
    GROUP BY uid
), listed AS MATERIALIZED (
    SELECT p.uid, p.seen_at, b.changed_at AS blocked_at, b.changed_by AS blocked_by
    FROM page p
    LEFT JOIN bailiwick.blocked_users b
           ON b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = p.uid AND b.blocked
    WHERE (p.seen_at, p.uid) < (%(after_at)s::timestamptz, %(after_uid)s::text)
      AND (NOT %(blocked)s::boolean OR b.uid IS NOT NULL)
    ORDER BY p.seen_at DESC, p.uid DESC
    LIMIT %(limit)s
), cells AS (
    SELECT u.uid, u.latency_bucket, u.requests, u.input_tokens, u.output_tokens, u.cost_nano
    FROM bailiwick.usage_hourly_of_users u
    WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = ANY (ARRAY(SELECT l.uid FROM listed l))
      AND u.hour >= %(first_hour)s AND u.hour < %(end_hour)s
    UNION ALL
    SELECT e.uid,
           16 * width_bucket(e.latency_ms, %(doublings)s) + (e.latency_ms >> width_bucket(e.latency_ms, %(doublings)s)),
           e.sign * e.requests, e.sign * e.input_tokens, e.sign * e.output_tokens, e.sign * e.cost_nano::numeric
    FROM (
        SELECT 1::bigint AS sign, n.* FROM bailiwick.usage_events n
        WHERE n.tenant_id = %(tenant)s AND n.project_id = %(project)s
          AND n.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND n.xid < %(no_xid)s
          AND n.opened_at >= %(since)s AND n.opened_at < %(until)s
        UNION ALL
        SELECT -1, b.* FROM bailiwick.usage_events b
        WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s
          AND b.xid < (SELECT w.xid FROM bailiwick.usage_watermark w)
          AND b.opened_at >= %(first_hour)s AND b.opened_at < %(since)s
        UNION ALL
        SELECT -1, a.* FROM bailiwick.usage_events a
        WHERE a.tenant_id = %(tenant)s AND a.project_id = %(project)s
          AND a.xid < (SELECT w.xid FROM bailiwick.usage_watermark w)
          AND a.opened_at >= %(until)s AND a.opened_at < %(end_hour)s
    ) AS e
    WHERE e.uid = ANY (ARRAY(SELECT l.uid FROM listed l))
), buckets AS (
    SELECT uid, latency_bucket, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano
    FROM cells
    GROUP BY uid, latency_bucket
), counted AS (
    SELECT uid, latency_bucket, requests, input_tokens, output_tokens, cost_nano,
           sum(requests) OVER (PARTITION BY uid ORDER BY latency_bucket) AS up_to,
           sum(requests) OVER (PARTITION BY uid) AS whole
    FROM buckets
), used AS (
    SELECT uid, sum(requests) AS requests, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
           sum(cost_nano) AS cost_nano, min(latency_bucket) FILTER (WHERE up_to * 2 >= whole) AS p50,
           min(latency_bucket) FILTER (WHERE up_to * 20 >= whole * 19) AS p95
    FROM counted
    WHERE whole > 0
    GROUP BY uid
)
SELECT l.uid, l.seen_at, l.blocked_at, l.blocked_by, u.requests, u.input_tokens, u.output_tokens, u.cost_nano, u.p50,
       u.p95
FROM listed l LEFT JOIN used u ON u.uid = l.uid
ORDER BY l.seen_at DESC, l.uid DESC;

-- name: find_user
-- One end user of a project, whoever it is, when last seen, and whether blocked; the project, and its tenant.
SELECT p.id, p.tenant_id, p.slug, p.name, p.status, p.limits, p.aliases, p.default_tier, p.require_end_user, p.cors_origins,
       p.on_disconnect, p.default_max_output_tokens, p.tools, p.created_at, p.created_by, t.id AS t_id, t.slug AS t_slug, t.name AS t_name,
       t.status AS t_status, t.default_project AS t_default_project, t.created_at AS t_created_at,
       t.created_by AS t_created_by, (SELECT f.id FROM bailiwick.projects f WHERE f.tenant_id = t.id
                                      ORDER BY f.id LIMIT 1) AS t_first_project, NULL::json AS key_names,
       greatest((SELECT u.seen_at FROM bailiwick.end_users u
                 WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = %(uid)s),
                (SELECT max(l.opened_at)
                 FROM (SELECT e.opened_at FROM bailiwick.usage_events e
                       WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s
                         AND e.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND e.xid < %(no_xid)s
                         AND e.uid = %(uid)s OFFSET 0) AS l)) AS seen_at,
       b.changed_at AS blocked_at, b.changed_by AS blocked_by
FROM bailiwick.projects p
JOIN bailiwick.tenants t ON t.id = p.tenant_id
LEFT JOIN bailiwick.blocked_users b
       ON b.tenant_id = p.tenant_id AND b.project_id = p.id AND b.uid = %(uid)s AND b.blocked
WHERE p.tenant_id = %(tenant)s AND p.id = %(project)s;

-- name: lock_blocked
-- Whether an end user is blocked, as it is and stays until the end of the transaction.
SELECT blocked, changed_at, changed_by FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s
FOR UPDATE;

-- name: count_blocked
-- How many end users of a project are blocked.
SELECT count(*) AS blocked FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND blocked;

-- name: set_blocked
-- Block an end user, or let them in again.
INSERT INTO bailiwick.blocked_users (tenant_id, project_id, uid, blocked, changed_at, changed_by)
VALUES (%(tenant)s, %(project)s, %(uid)s, %(blocked)s, %(at)s, %(by)s)
ON CONFLICT (tenant_id, project_id, uid)
DO UPDATE SET blocked = excluded.blocked, changed_at = excluded.changed_at, changed_by = excluded.changed_by;

-- name: add_user
-- Have an end user in the list who was never seen.
INSERT INTO bailiwick.end_users (tenant_id, project_id, uid) VALUES (%(tenant)s, %(project)s, %(uid)s)
ON CONFLICT DO NOTHING;
