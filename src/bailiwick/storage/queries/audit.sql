-- name: claim_head
-- The end of a chain, locked until the end of the transaction; a chain that begins has its first one made.
INSERT INTO bailiwick.audit_heads AS h (tenant_id, seq, digest, signature, moved_at)
VALUES (%(tenant)s, 0, %(beginning)s, '', %(at)s)
ON CONFLICT (tenant_id) DO UPDATE SET moved_at = excluded.moved_at
RETURNING h.seq, h.digest;

-- name: append_entry
-- Write what an act did, in the act's own transaction.
INSERT INTO bailiwick.audit (id, tenant_id, seq, at, actor, actor_name, ip, action, target, detail, request_id, digest)
VALUES (%(id)s, %(tenant)s, %(seq)s, %(at)s, %(actor)s, %(actor_name)s, %(ip)s, %(action)s, %(target)s,
        %(detail)s::json, %(request_id)s, %(digest)s);

-- name: move_head
-- Move the end of a chain on to its new last entry.
UPDATE bailiwick.audit_heads SET seq = %(seq)s, digest = %(digest)s, signature = %(signature)s
WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s;

-- name: list_entries
-- The entries of a tenant (of the installation, if none), the newest first, by what is asked of them.
SELECT id, seq, at, actor, actor_name, ip, action, target, detail::text AS detail, request_id, digest
FROM bailiwick.audit
WHERE (tenant_id = %(tenant)s::uuid OR (%(tenant)s::uuid IS NULL AND tenant_id IS NULL))
  AND (%(after)s::uuid IS NULL OR seq < (SELECT a.seq FROM bailiwick.audit a WHERE a.id = %(after)s::uuid
       AND (a.tenant_id = %(tenant)s::uuid OR (%(tenant)s::uuid IS NULL AND a.tenant_id IS NULL))))
  AND (%(actor)s::text IS NULL OR actor = %(actor)s::text)
  AND (%(action)s::text IS NULL OR action = %(action)s::text OR starts_with(action, %(action)s::text || '.'))
  AND (%(target)s::text IS NULL OR target = %(target)s::text)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s::timestamptz)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s::timestamptz)
ORDER BY seq DESC
LIMIT %(limit)s;

-- name: chains
-- Every chain that there is anything of, or that there must be: a tenant's has at least the tenant's making.
SELECT tenant_id FROM bailiwick.audit
UNION SELECT tenant_id FROM bailiwick.audit_heads
UNION SELECT id FROM bailiwick.tenants
UNION SELECT NULL
ORDER BY tenant_id NULLS FIRST;

-- name: chain_page
-- The next entries of a chain in order, each beside its head; at least one row, so that the last page has the head too.
SELECT h.seq AS head_seq, h.digest AS head_digest, h.signature, e.*
FROM (VALUES (1)) AS once (row)
LEFT JOIN bailiwick.audit_heads h
    ON h.tenant_id = %(tenant)s::uuid OR (%(tenant)s::uuid IS NULL AND h.tenant_id IS NULL)
LEFT JOIN LATERAL (
    SELECT id, seq, at, actor, actor_name, ip, action, target, detail::text AS detail, request_id, digest
    FROM bailiwick.audit
    WHERE (tenant_id = %(tenant)s::uuid OR (%(tenant)s::uuid IS NULL AND tenant_id IS NULL)) AND seq > %(after)s
    ORDER BY seq
    LIMIT %(limit)s
) e ON true
ORDER BY e.seq;

-- name: moved_heads
-- The ends of the chains that have grown since.
SELECT tenant_id, seq, digest FROM bailiwick.audit_heads WHERE moved_at >= %(since)s AND seq > 0;
