-- name: settled_calls
-- The next settled calls of a span, project by project in the order in which they opened: as the ledger's index has them.
SELECT l.id, l.opened_at, l.project_id, l.key_id, l.uid, l.sid, l.agent_id, l.agent_version, l.tier, l.provider, l.model, l.streamed,
       l.outcome, l.status, l.usage_source, l.input_tokens, l.output_tokens, l.cached_tokens, l.cache_write_tokens,
       l.reasoning_tokens, l.cost_nano, l.latency_ms, l.first_byte_ms, l.price, l.cache_write_1h_tokens, l.input_audio_tokens,
       l.output_audio_tokens, l.input_image_tokens, l.output_image_tokens, l.asked
FROM bailiwick.ledger l
WHERE l.tenant_id = %(tenant)s AND (%(project)s::uuid IS NULL OR l.project_id = %(project)s)
  AND l.opened_at >= %(since)s AND l.opened_at < %(until)s
  AND (%(after_id)s::uuid IS NULL
       OR (l.project_id, l.opened_at, l.id) > (%(after_project)s::uuid, %(after_at)s::timestamptz, %(after_id)s::uuid))
ORDER BY l.project_id, l.opened_at, l.id
LIMIT %(limit)s;
