-- name: find_key
-- One key of a tenant, of the given project if one is given; never its digests.
SELECT id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
       previous_until, created_at, created_by
FROM bailiwick.api_keys
WHERE tenant_id = %(tenant)s AND id = %(key)s AND (%(project)s::uuid IS NULL OR project_id = %(project)s::uuid);

-- name: lock_key
-- One key of a tenant, of the given project if one is given, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
       previous_until, created_at, created_by
FROM bailiwick.api_keys
WHERE tenant_id = %(tenant)s AND id = %(key)s AND (%(project)s::uuid IS NULL OR project_id = %(project)s::uuid)
FOR NO KEY UPDATE;

-- name: list_keys
-- The keys of a project, in the order of their ids, each with when it was last used.
SELECT k.id, k.tenant_id, k.project_id, k.name, k.lookup_id, k.scopes, k.models, k.agents, k.tools, k.act_as, k.tier,
       k.ip_allow, k.expires_at, k.revoked_at, k.previous_until, k.created_at, k.created_by, u.used_at
FROM bailiwick.api_keys k
LEFT JOIN bailiwick.key_uses u ON u.tenant_id = k.tenant_id AND u.key_id = k.id
WHERE k.tenant_id = %(tenant)s AND k.project_id = %(project)s AND (%(after)s::uuid IS NULL OR k.id > %(after)s::uuid)
ORDER BY k.id
LIMIT %(limit)s;

-- name: add_key
-- Add a key to a project.
INSERT INTO bailiwick.api_keys (id, tenant_id, project_id, name, lookup_id, digest, scopes, models, agents, tools, act_as,
                                tier, ip_allow, expires_at, created_at, created_by)
VALUES (%(key)s, %(tenant)s, %(project)s, %(name)s, %(lookup_id)s, %(digest)s, %(scopes)s::text[], %(models)s::text[],
        %(agents)s::text[], %(tools)s, %(act_as)s, %(tier)s, %(ip_allow)s::text[], %(expires_at)s, %(created_at)s, %(created_by)s)
RETURNING id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
          previous_until, created_at, created_by;

-- name: change_key
-- Change what can be changed of a key.
UPDATE bailiwick.api_keys
SET name = %(name)s, scopes = %(scopes)s::text[], models = %(models)s::text[], agents = %(agents)s::text[], tools = %(tools)s,
    act_as = %(act_as)s, tier = %(tier)s, ip_allow = %(ip_allow)s::text[], expires_at = %(expires_at)s
WHERE tenant_id = %(tenant)s AND id = %(key)s
RETURNING id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
          previous_until, created_at, created_by;

-- name: rotate_key
-- Give a key another secret; the one before it stays good until the end of its grace, if it has any.
UPDATE bailiwick.api_keys
SET digest = %(digest)s,
    previous_digest = CASE WHEN %(previous_until)s::timestamptz IS NOT NULL THEN digest END,
    previous_until = %(previous_until)s::timestamptz
WHERE tenant_id = %(tenant)s AND id = %(key)s
RETURNING id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
          previous_until, created_at, created_by;

-- name: revoke_key
-- End a key with all its secrets.
UPDATE bailiwick.api_keys
SET revoked_at = %(revoked_at)s
WHERE tenant_id = %(tenant)s AND id = %(key)s AND revoked_at IS NULL
RETURNING id, tenant_id, project_id, name, lookup_id, scopes, models, agents, tools, act_as, tier, ip_allow, expires_at, revoked_at,
          previous_until, created_at, created_by;

-- name: remove_key
-- Remove a key; the ledger keeps its id.
DELETE FROM bailiwick.api_keys WHERE tenant_id = %(tenant)s AND id = %(key)s;
