-- name: count_crossings
-- Say how many crossings a process has refused so far within a minute: told twice, they are counted once.
INSERT INTO bailiwick.refused_crossings AS r (tenant_id, project_id, minute, actor, uid, code, process_id, refused)
SELECT c.tenant_id, c.project_id, 'epoch'::timestamptz + c.minute_us * interval '1 microsecond', c.actor, c.uid, c.code,
       $1::uuid, c.refused
FROM json_to_recordset($2::json) AS c (
    tenant_id uuid, project_id uuid, minute_us bigint, actor text, uid text, code text, refused bigint)
ON CONFLICT (tenant_id, project_id, minute, actor, uid, code, process_id)
DO UPDATE SET refused = excluded.refused WHERE r.refused < excluded.refused;

-- name: chains_with_crossings
-- Whose log there is something for, of minutes that are over.
SELECT DISTINCT tenant_id FROM bailiwick.refused_crossings WHERE minute < %(before)s ORDER BY tenant_id;

-- name: take_crossings
-- Take some of those out.
WITH taken AS (
    DELETE FROM bailiwick.refused_crossings WHERE ctid IN (
        SELECT ctid FROM bailiwick.refused_crossings
        WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid AND minute < %(before)s
        ORDER BY minute LIMIT %(most)s)
    RETURNING project_id, minute, actor, uid, code, refused
)
SELECT project_id, minute, actor, uid, code, sum(refused)::bigint AS refused
FROM taken
GROUP BY project_id, minute, actor, uid, code
ORDER BY minute, actor, uid, code;
