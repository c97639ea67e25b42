-- name: usage_of_all
-- What all tenants of the installation used and were refused in some hours or days, by the operator's role: each point of
-- time, and the tenants with the most requests. Removed ones count too: what they used was paid for. From what is rolled
-- up, and from what was written since.
WITH RECURSIVE seen AS (
    (SELECT d.tenant_id FROM bailiwick.usage_daily d ORDER BY d.tenant_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.tenant_id FROM bailiwick.usage_daily d WHERE d.tenant_id > s.tenant_id ORDER BY d.tenant_id LIMIT 1)
    FROM seen s WHERE s.tenant_id IS NOT NULL
), counted AS (
    SELECT r.tenant_id, r.at, r.requests, r.input_tokens, r.output_tokens, r.cost_nano, 0 AS refused
    FROM seen s
    CROSS JOIN LATERAL (
        SELECT d.tenant_id, d.at, d.requests, d.input_tokens, d.output_tokens, d.cost_nano
        FROM bailiwick.usage_daily d
        WHERE %(by)s::text = 'day' AND d.tenant_id = s.tenant_id AND d.dimension = 'all'
          AND d.at >= %(since)s AND d.at < %(end)s
        UNION ALL
        SELECT h.tenant_id, h.at, h.requests, h.input_tokens, h.output_tokens, h.cost_nano
        FROM bailiwick.usage_hourly h
        WHERE %(by)s::text = 'hour' AND h.tenant_id = s.tenant_id AND h.dimension = 'all'
          AND h.at >= %(since)s AND h.at < %(end)s
    ) AS r
    UNION ALL
    SELECT e.tenant_id, date_trunc(%(by)s::text, e.opened_at, 'UTC'), e.requests, e.input_tokens, e.output_tokens,
           e.cost_nano, 0
    FROM bailiwick.usage_events e
    WHERE e.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w) AND e.xid < %(no_xid)s
      AND e.opened_at >= %(since)s AND e.opened_at < %(end)s
    UNION ALL
    SELECT f.tenant_id, date_trunc(%(by)s::text, f.hour, 'UTC'), 0, 0, 0, 0, f.refused
    FROM bailiwick.usage_refusals f
    WHERE f.hour >= %(since)s AND f.hour < %(end)s
), summed AS (
    SELECT tenant_id, at, sum(requests) AS requests, sum(input_tokens) AS input_tokens,
           sum(output_tokens) AS output_tokens, sum(cost_nano) AS cost_nano, sum(refused) AS refused,
           row_number() OVER (PARTITION BY at ORDER BY sum(requests) DESC, sum(refused) DESC, tenant_id) AS place
    FROM counted
    GROUP BY GROUPING SETS ((tenant_id), (at))
)
SELECT s.tenant_id, s.at, s.requests, s.input_tokens, s.output_tokens, s.cost_nano, s.refused, t.name
FROM summed s LEFT JOIN bailiwick.tenants t ON t.id = s.tenant_id
WHERE s.at IS NOT NULL OR s.place <= %(limit)s
ORDER BY s.at NULLS FIRST, s.place;
