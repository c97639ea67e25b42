-- name: debts
-- What the calls on record since a moment have left in the buckets of one level: the theoretical arrival time of GCRA
-- is the latest of (arrival + intervals of the calls from it on), in ticks of the limit. Empty buckets are left out.
SELECT subject, max(at_ns * %(ticks)s::numeric + place * %(interval)s::numeric) AS drained_at, min(at_ns) AS since_ns
FROM (
    SELECT subject, at_ns, row_number() OVER (PARTITION BY subject ORDER BY at_ns DESC) AS place
    FROM (
        SELECT CASE %(level)s WHEN 'project' THEN '' WHEN 'key' THEN replace(key_id::text, '-', '') ELSE uid END
               AS subject,
               (extract(epoch FROM opened_at) * 1000000)::bigint * 1000 AS at_ns
        FROM (
            SELECT key_id, uid, opened_at FROM bailiwick.ledger
            WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
            UNION ALL
            SELECT key_id, uid, opened_at FROM bailiwick.open_calls
            WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
        ) AS calls
    ) AS arrivals
    WHERE subject IS NOT NULL
) AS placed
GROUP BY subject
HAVING max(at_ns * %(ticks)s::numeric + place * %(interval)s::numeric) > %(now_ns)s::numeric * %(ticks)s::numeric;
