-- name: due_hours
-- Hours that are over and to be told, once all of their calls are settled and rolled up; late ones whatever is open.
SELECT h.tenant_id, h.hour
FROM bailiwick.usage_hours h
WHERE h.changed AND h.hour <= %(ended)s
  AND (h.hour <= %(late)s
       OR NOT EXISTS (SELECT FROM bailiwick.open_calls o
                      WHERE o.tenant_id = h.tenant_id AND o.opened_at < h.hour + interval '1 hour'
                        AND o.opened_at >= h.hour))
  AND NOT EXISTS (SELECT FROM bailiwick.usage_events e
                  WHERE e.tenant_id = h.tenant_id AND e.opened_at >= h.hour
                    AND e.opened_at < h.hour + interval '1 hour'
                    AND e.xid >= (SELECT w.xid FROM bailiwick.usage_watermark w))
ORDER BY h.tenant_id, h.hour
LIMIT %(most)s;

-- name: hour_rows
-- What the ledger says of a tenant's hour, by project, user and model.
SELECT l.project_id, l.uid, l.provider || '/' || l.model AS model, count(*) AS requests,
       sum(l.input_tokens) AS input_tokens, sum(l.output_tokens) AS output_tokens,
       sum(l.cached_tokens) AS cached_tokens, sum(l.cache_write_tokens) AS cache_write_tokens,
       sum(l.reasoning_tokens) AS reasoning_tokens,
       coalesce(sum(l.cache_write_1h_tokens), 0) AS cache_write_1h_tokens,
       coalesce(sum(l.input_audio_tokens), 0) AS input_audio_tokens,
       coalesce(sum(l.output_audio_tokens), 0) AS output_audio_tokens,
       coalesce(sum(l.input_image_tokens), 0) AS input_image_tokens,
       coalesce(sum(l.output_image_tokens), 0) AS output_image_tokens,
       coalesce(sum(l.cost_nano), 0) AS cost_nano
FROM (SELECT DISTINCT u.project_id FROM bailiwick.usage_hourly u
      WHERE u.tenant_id = %(tenant)s AND u.dimension = 'all' AND u.at = %(hour)s) p
JOIN bailiwick.ledger l
  ON l.tenant_id = %(tenant)s AND l.project_id = p.project_id
 AND l.opened_at >= %(hour)s AND l.opened_at < %(hour)s::timestamptz + interval '1 hour'
GROUP BY l.project_id, l.uid, l.provider, l.model
ORDER BY l.project_id, l.uid, l.provider, l.model;

-- name: note_told
-- An hour was told; returns how often it is now.
UPDATE bailiwick.usage_hours SET changed = false, revision = revision + 1
WHERE tenant_id = %(tenant)s AND hour = %(hour)s
RETURNING revision;
