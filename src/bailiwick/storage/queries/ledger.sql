-- name: open_calls
-- Write the open rows of a batch; a batch that is tried again changes nothing.
INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, key_id, process_id, opened_at, uid, sid, provider, model,
                                  streamed, input_estimate, cost_estimate_nano, held_tokens, agent_id, agent_version, tier,
                                  price, asked)
SELECT c.id, c.tenant_id, c.project_id, c.key_id, $1::uuid,
       'epoch'::timestamptz + c.opened_us * interval '1 microsecond', c.uid, c.sid, c.provider, c.model,
       c.streamed, c.input_estimate, c.cost_estimate_nano, c.held_tokens, c.agent_id, c.agent_version,
       c.tier, c.price, c.asked
FROM json_to_recordset($2::json) AS c (
    id uuid, tenant_id uuid, project_id uuid, key_id uuid, opened_us bigint, uid text, sid text, provider text,
    model text, streamed boolean, input_estimate integer, cost_estimate_nano bigint, held_tokens integer,
    agent_id uuid, agent_version integer, tier text, price bigint, asked text)
ON CONFLICT (id) DO NOTHING;

-- name: open_calls_again
-- Write the open rows of a batch of which some may have been written, and settled, before; those stay as they are.
INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, key_id, process_id, opened_at, uid, sid, provider, model,
                                  streamed, input_estimate, cost_estimate_nano, held_tokens, agent_id, agent_version, tier,
                                  price, asked)
SELECT c.id, c.tenant_id, c.project_id, c.key_id, $1::uuid,
       'epoch'::timestamptz + c.opened_us * interval '1 microsecond', c.uid, c.sid, c.provider, c.model,
       c.streamed, c.input_estimate, c.cost_estimate_nano, c.held_tokens, c.agent_id, c.agent_version,
       c.tier, c.price, c.asked
FROM json_to_recordset($2::json) AS c (
    id uuid, tenant_id uuid, project_id uuid, key_id uuid, opened_us bigint, uid text, sid text, provider text,
    model text, streamed boolean, input_estimate integer, cost_estimate_nano bigint, held_tokens integer,
    agent_id uuid, agent_version integer, tier text, price bigint, asked text)
WHERE NOT EXISTS (
    SELECT FROM bailiwick.ledger l
    WHERE l.tenant_id = c.tenant_id AND l.project_id = c.project_id
      AND l.opened_at = 'epoch'::timestamptz + c.opened_us * interval '1 microsecond' AND l.id = c.id)
ON CONFLICT (id) DO NOTHING;

-- name: wait_for_others
-- Until the transaction ends nobody else loses calls or opens them again; any number will do that all agree on.
SELECT pg_advisory_xact_lock(x'6c6f7374'::bigint);

-- name: end_predecessors
-- End what earlier connections of this name may still be doing; true when nothing is left of them.
SELECT coalesce(bool_and(pg_terminate_backend(pid, 1000)), true) AS ended
FROM pg_stat_activity
WHERE usename = current_user AND application_name = current_setting('application_name') AND pid <> pg_backend_pid();

-- name: void_calls
-- Take back open rows of calls that no provider ever heard of.
DELETE FROM bailiwick.open_calls WHERE id = ANY ($1::uuid[]);

-- name: settle_calls
-- Turn the open rows of a batch into ledger rows; whoever deletes the open row has settled the call.
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
              o.agent_version, o.tier, coalesce(o.asked, o.model) AS asked
)
INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens,
                              cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms,
                              first_byte_ms, status, outcome, usage_source, streamed, uid, sid, provider, model, agent_id,
                              agent_version, tier, asked, price, cache_write_1h_tokens, input_audio_tokens,
                              output_audio_tokens, input_image_tokens, output_image_tokens)
SELECT c.id, c.tenant_id, c.project_id, c.key_id, c.opened_at, s.cost_nano, s.input_tokens, s.output_tokens,
       s.cached_tokens, s.cache_write_tokens, s.reasoning_tokens, s.latency_ms,
       s.first_byte_ms, s.status, s.outcome, s.usage_source, c.streamed, c.uid, c.sid, s.provider, s.model,
       c.agent_id, c.agent_version, c.tier, nullif(c.asked, s.model), s.price, s.cache_write_1h_tokens, s.input_audio_tokens,
       s.output_audio_tokens, s.input_image_tokens, s.output_image_tokens
FROM closed c JOIN settled s ON s.id = c.id;

-- name: correct_lost
-- The truth about a call that was settled as lost: taken once, since a corrected row is no longer unknown. What the row
-- said before is kept, for whoever has counted it already. Rows are held before they are changed: of two who correct the
-- same one, the second finds it known.
WITH truth AS MATERIALIZED (
    SELECT s.id, s.tenant_id, s.project_id, s.opened_us, s.cost_nano, s.input_tokens, s.output_tokens, s.cached_tokens,
           s.cache_write_tokens, s.reasoning_tokens, s.latency_ms, s.first_byte_ms, s.status, s.outcome,
           s.usage_source, s.provider, s.model, s.price, s.cache_write_1h_tokens, s.input_audio_tokens,
           s.output_audio_tokens, s.input_image_tokens, s.output_image_tokens
    FROM json_to_recordset($1::json) AS s (
        id uuid, tenant_id uuid, project_id uuid, opened_us bigint, cost_nano bigint, input_tokens integer,
        output_tokens integer, cached_tokens integer, cache_write_tokens integer, reasoning_tokens integer,
        latency_ms integer, first_byte_ms integer, status smallint, outcome smallint,
        usage_source smallint, provider text, model text,
        price bigint, cache_write_1h_tokens integer, input_audio_tokens integer,
        output_audio_tokens integer, input_image_tokens integer, output_image_tokens integer)
), unknown AS MATERIALIZED (
    SELECT l.id, l.tenant_id, l.project_id, l.key_id, l.opened_at, l.cost_nano, l.input_tokens, l.output_tokens,
           l.latency_ms, l.uid, l.provider, l.model, l.written_xid, l.agent_id, l.tier, l.slices,
           coalesce(l.asked, l.model) AS asked
    FROM truth s JOIN bailiwick.ledger l
      ON l.tenant_id = s.tenant_id AND l.project_id = s.project_id
     AND l.opened_at = 'epoch'::timestamptz + s.opened_us * interval '1 microsecond'
     AND l.id = s.id AND l.usage_source = 3
    FOR UPDATE OF l
), corrected AS (
    UPDATE bailiwick.ledger l
    SET cost_nano = s.cost_nano, input_tokens = s.input_tokens, output_tokens = s.output_tokens,
        cached_tokens = s.cached_tokens, cache_write_tokens = s.cache_write_tokens,
        reasoning_tokens = s.reasoning_tokens, cache_write_1h_tokens = s.cache_write_1h_tokens,
        input_audio_tokens = s.input_audio_tokens, output_audio_tokens = s.output_audio_tokens,
        input_image_tokens = s.input_image_tokens, output_image_tokens = s.output_image_tokens,
        latency_ms = s.latency_ms,
        first_byte_ms = s.first_byte_ms, status = s.status, outcome = s.outcome, usage_source = s.usage_source,
        provider = s.provider, model = s.model, asked = nullif(u.asked, s.model), price = s.price, held_tokens = NULL, slices = NULL, written_xid = DEFAULT
    FROM unknown u JOIN truth s ON s.id = u.id
    WHERE l.tenant_id = u.tenant_id AND l.project_id = u.project_id AND l.opened_at = u.opened_at AND l.id = u.id
    RETURNING l.id, coalesce(l.cost_nano, 0) - coalesce(u.cost_nano, 0) AS more_nano,
              l.input_tokens::bigint + l.output_tokens - u.input_tokens - u.output_tokens AS more_tokens
), kept AS (
    INSERT INTO bailiwick.ledger_corrections (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens,
                                              output_tokens, latency_ms, uid, provider, model, replaced_xid,
                                              agent_id, tier)
    SELECT u.id, u.tenant_id, u.project_id, u.key_id, u.opened_at, u.cost_nano, u.input_tokens, u.output_tokens,
           u.latency_ms, u.uid, u.provider, u.model, u.written_xid, u.agent_id, u.tier
    FROM unknown u JOIN corrected c ON c.id = u.id
)
SELECT bailiwick.settle_room(array_agg(slice), array_agg(0::bigint), array_agg(c.more_nano), array_agg(0::bigint),
                             array_agg(c.more_tokens))
FROM corrected c JOIN unknown u ON u.id = c.id, unnest(u.slices) slice;

-- name: settle_lost
-- Settle, by their estimates or as their budgets say, the open calls whose process has not beaten for the lease's length.
WITH closed AS (
    DELETE FROM bailiwick.open_calls o
    WHERE NOT EXISTS (SELECT FROM bailiwick.processes p
                      WHERE p.id = o.process_id AND p.beat_at > now() - $1 * interval '1 second')
    RETURNING o.id, o.tenant_id, o.project_id, o.key_id, o.opened_at, o.uid, o.sid, o.provider, o.model, o.streamed,
              o.held_tokens, o.agent_id, o.agent_version, o.tier, o.slices, o.ceiling_nano, o.ceiling_tokens, o.asked,
              -- A ceiling is reckoned at the dearest rates, whatever the tokens are: no price says it.
              CASE WHEN o.on_lost = 1 THEN NULL ELSE o.price END AS price,
              CASE o.on_lost WHEN 1 THEN coalesce(o.ceiling_nano, o.cost_estimate_nano) WHEN 2 THEN 0
                             ELSE o.cost_estimate_nano END AS cost_nano,
              CASE o.on_lost WHEN 2 THEN 0 ELSE o.input_estimate END AS input_tokens,
              CASE o.on_lost WHEN 1 THEN greatest(o.ceiling_tokens - o.input_estimate, 0) ELSE 0 END AS output_tokens
), written AS (
    INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens,
                                  cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms,
                                  first_byte_ms, status, outcome, usage_source, streamed, uid, sid, provider, model,
                                  held_tokens, agent_id, agent_version, tier, slices, price, asked)
    SELECT c.id, c.tenant_id, c.project_id, c.key_id, c.opened_at, c.cost_nano, c.input_tokens, c.output_tokens,
           0, 0, 0,
           greatest(0, least(extract(epoch FROM now() - c.opened_at) * 1000, 2147483647))::integer, NULL, NULL, 5, 3,
           c.streamed, c.uid, c.sid, c.provider, c.model, c.held_tokens, c.agent_id, c.agent_version, c.tier,
           c.slices, c.price, c.asked
    FROM closed c
    RETURNING id
), settled AS MATERIALIZED (
    SELECT bailiwick.settle_room(array_agg(slice), array_agg(c.ceiling_nano), array_agg(c.cost_nano),
                                 array_agg(c.ceiling_tokens), array_agg(c.input_tokens::bigint + c.output_tokens))
    FROM closed c, unnest(c.slices) slice
)
SELECT w.id FROM written w, settled;

-- name: beat
-- Say that this process lives.
INSERT INTO bailiwick.processes (id) VALUES ($1::uuid)
ON CONFLICT (id) DO UPDATE SET beat_at = now();

-- name: leave
-- Say that this process is gone, and forget those that went a day ago.
DELETE FROM bailiwick.processes WHERE id = $1::uuid OR beat_at < now() - interval '1 day';
