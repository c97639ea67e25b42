-- name: open_with_room
-- Open those calls of a batch that have room in all of their budgets; tells of the others which budget has none.
SELECT call, need, settled, reserved
FROM bailiwick.open_with_room($1::uuid, $2::json, $3::json, $4::json, $5::boolean);

-- name: move_room
-- Have one open call hold what it needs for another model in the place of what it held.
SELECT bailiwick.move_room($1::uuid, $2::json, $3::json, $4::json) AS moved;

-- name: void_calls
-- Take back open rows of calls that no provider ever heard of, and what they held.
WITH void AS (
    DELETE FROM bailiwick.open_calls WHERE id = ANY ($1::uuid[]) RETURNING id, slices, ceiling_nano, ceiling_tokens
), released AS MATERIALIZED (
    SELECT bailiwick.settle_room(array_agg(slice), array_agg(v.ceiling_nano), array_agg(0::bigint),
                                 array_agg(v.ceiling_tokens), array_agg(0::bigint))
    FROM void v, unnest(v.slices) slice
)
SELECT v.id FROM void v, released;

-- name: settle_calls
-- Turn the open rows of a batch into ledger rows, what they held into what they spent.
WITH settled AS MATERIALIZED (
    SELECT s.id, s.cost_nano, s.input_tokens, s.output_tokens, s.cached_tokens, s.cache_write_tokens,
           s.reasoning_tokens, s.latency_ms, s.first_byte_ms, s.status, s.outcome, s.usage_source,
           s.provider, s.model, s.price, s.cache_write_1h_tokens, s.input_audio_tokens, s.output_audio_tokens,
           s.input_image_tokens, s.output_image_tokens
    FROM json_to_recordset($1::json) AS s (
        id uuid, cost_nano bigint, input_tokens integer, output_tokens integer, cached_tokens integer,
        cache_write_tokens integer, reasoning_tokens integer, latency_ms integer,
        first_byte_ms integer, status smallint, outcome smallint, usage_source smallint, provider text, model text,
        price bigint, cache_write_1h_tokens integer, input_audio_tokens integer,
        output_audio_tokens integer, input_image_tokens integer, output_image_tokens integer)
), closed AS (
    DELETE FROM bailiwick.open_calls o USING settled s WHERE o.id = s.id
    RETURNING o.id, o.tenant_id, o.project_id, o.key_id, o.opened_at, o.uid, o.sid, o.streamed, o.agent_id,
              o.agent_version, o.tier, coalesce(o.asked, o.model) AS asked, o.slices, o.ceiling_nano, o.ceiling_tokens
), written AS (
    INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens,
                                  cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms,
                                  first_byte_ms, status, outcome, usage_source, streamed, uid, sid, provider, model,
                                  agent_id, agent_version, tier, asked, price, cache_write_1h_tokens, input_audio_tokens,
                                  output_audio_tokens, input_image_tokens, output_image_tokens)
    SELECT c.id, c.tenant_id, c.project_id, c.key_id, c.opened_at, s.cost_nano, s.input_tokens, s.output_tokens,
           s.cached_tokens, s.cache_write_tokens, s.reasoning_tokens, s.latency_ms,
           s.first_byte_ms, s.status, s.outcome, s.usage_source, c.streamed, c.uid, c.sid, s.provider, s.model,
           c.agent_id, c.agent_version, c.tier, nullif(c.asked, s.model), s.price, s.cache_write_1h_tokens, s.input_audio_tokens,
           s.output_audio_tokens, s.input_image_tokens, s.output_image_tokens
    FROM closed c JOIN settled s ON s.id = c.id
    RETURNING id
), spent AS MATERIALIZED (
    SELECT bailiwick.settle_room(array_agg(slice), array_agg(c.ceiling_nano), array_agg(coalesce(s.cost_nano, 0)),
                                 array_agg(c.ceiling_tokens), array_agg(s.input_tokens::bigint + s.output_tokens))
    FROM closed c JOIN settled s ON s.id = c.id, unnest(c.slices) slice
)
SELECT w.id FROM written w, spent;
