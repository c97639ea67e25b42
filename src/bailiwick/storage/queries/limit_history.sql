-- name: arrivals
-- Calls of a project after a moment, the oldest so many and whoever came with the last of them, by subject of a level.
-- Each part is cut before they are merged: so the ledger's index gives them in order, and no more of them is read.
-- A call costs one request, at the time when it was opened; or the tokens that it used, at the time when it ended.
SELECT subject, count(*) AS calls, sum(cost) AS cost, max(opened_us) AS last_us,
       max(at_us * 1000 * %(ticks)s::numeric + behind * %(interval)s::numeric) AS drained_at
FROM (
    SELECT subject, opened_us, at_us, cost,
           sum(cost) OVER (PARTITION BY subject ORDER BY at_us DESC ROWS UNBOUNDED PRECEDING) AS behind
    FROM (
        SELECT CASE %(level)s WHEN 'project' THEN '' WHEN 'key' THEN replace(key_id::text, '-', '') ELSE uid END
               AS subject,
               (extract(epoch FROM opened_at) * 1000000)::bigint AS opened_us,
               (extract(epoch FROM opened_at) * 1000000)::bigint
               + CASE %(unit)s WHEN 'tokens' THEN latency_ms * 1000::bigint ELSE 0 END AS at_us,
               CASE %(unit)s WHEN 'tokens' THEN tokens ELSE 1 END AS cost
        FROM (
            (SELECT key_id, uid, opened_at, latency_ms,
                    coalesce(held_tokens, input_tokens::bigint + output_tokens) AS tokens
             FROM bailiwick.ledger
             WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
             ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES)
            UNION ALL
            (SELECT key_id, uid, opened_at, 0, coalesce(held_tokens, input_estimate)::bigint
             FROM bailiwick.open_calls
             WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
             ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES)
        ) AS calls
        ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES
    ) AS slice
) AS placed
GROUP BY subject;
