-- name: arrivals
-- Calls of a project after a moment, the oldest so many and whoever came with the last of them, by subject of a level.
-- Each part is cut before they are merged: so the ledger's index gives them in order, and no more of them is read.
SELECT subject, count(*) AS calls, max(last_us) AS last_us,
       max(last_us * 1000 * %(ticks)s::numeric + place * %(interval)s::numeric) AS drained_at
FROM (
    SELECT subject, last_us, row_number() OVER (PARTITION BY subject ORDER BY last_us DESC) AS place
    FROM (
        SELECT CASE %(level)s WHEN 'project' THEN '' WHEN 'key' THEN replace(key_id::text, '-', '') ELSE uid END
               AS subject,
               (extract(epoch FROM opened_at) * 1000000)::bigint AS last_us
        FROM (
            (SELECT key_id, uid, opened_at FROM bailiwick.ledger
             WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
             ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES)
            UNION ALL
            (SELECT key_id, uid, opened_at FROM bailiwick.open_calls
             WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND opened_at > %(since)s
             ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES)
        ) AS calls
        ORDER BY opened_at FETCH FIRST (%(calls)s) ROWS WITH TIES
    ) AS slice
) AS placed
GROUP BY subject;
