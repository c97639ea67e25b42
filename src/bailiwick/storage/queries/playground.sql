-- name: choices
-- What somebody who tries out a project can choose from: its keys that mint for end users, its enabled agents, its tiers,
-- and the roles of its tenant's own, each by name.
SELECT 'key' AS kind, k.id, k.name COLLATE "C" AS name
FROM bailiwick.api_keys k
WHERE k.tenant_id = %(tenant)s AND k.project_id = %(project)s AND k.revoked_at IS NULL
  AND (k.expires_at IS NULL OR k.expires_at > %(now)s) AND k.act_as
  AND k.scopes @> ARRAY['tokens:mint', 'users:act_as']
UNION ALL
SELECT 'agent', a.id, a.name FROM bailiwick.agents a
WHERE a.tenant_id = %(tenant)s AND a.project_id = %(project)s AND a.enabled
UNION ALL
SELECT 'tier', t.id, t.name FROM bailiwick.tiers t WHERE t.tenant_id = %(tenant)s AND t.project_id = %(project)s
UNION ALL
SELECT 'role', r.id, r.name FROM bailiwick.roles r WHERE r.tenant_id = %(tenant)s
ORDER BY 1, 3, 2
LIMIT 1000;
