-- name: usage_by_group
-- A page of groups of a project's settled calls, in the order of their keys, and first of all the total.
WITH grouped AS (
    SELECT c.key, GROUPING(c.key) = 1 AS is_total, count(*) AS requests,
           sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens, sum(c.cost_nano) AS cost_nano,
           percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY c.latency_ms) AS latencies
    FROM (
        SELECT CASE %(group_by)s::text
                   WHEN 'user' THEN l.uid
                   WHEN 'session' THEN l.sid
                   WHEN 'key' THEN l.key_id::text
                   WHEN 'model' THEN l.provider || '/' || l.model
                   WHEN 'day' THEN to_char(l.opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')
               END COLLATE "C" AS key,
               l.input_tokens, l.output_tokens, l.cost_nano, l.latency_ms
        FROM bailiwick.ledger l
        WHERE l.tenant_id = %(tenant)s AND l.project_id = %(project)s
          AND l.opened_at >= %(since)s::timestamptz AND l.opened_at < %(until)s::timestamptz
          AND (%(uid)s::text IS NULL OR l.uid = %(uid)s::text)
    ) AS c
    GROUP BY GROUPING SETS ((c.key), ())
)
SELECT key, is_total, requests, input_tokens, output_tokens, cost_nano, latencies
FROM grouped
WHERE is_total OR NOT %(paged)s::boolean OR key > %(after)s::text
   OR (%(after)s::text IS NOT NULL AND key IS NULL)
ORDER BY is_total DESC, key NULLS LAST
LIMIT %(limit)s + 1;
