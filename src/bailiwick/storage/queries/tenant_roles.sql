-- name: find_role
-- One role of a tenant.
SELECT id, tenant_id, name, permissions, models, tools, agents, created_at, created_by
FROM bailiwick.roles
WHERE tenant_id = %(tenant)s AND id = %(role)s;

-- name: lock_role
-- One role of a tenant, kept as it is until the end of the transaction.
SELECT id, tenant_id, name, permissions, models, tools, agents, created_at, created_by
FROM bailiwick.roles
WHERE tenant_id = %(tenant)s AND id = %(role)s
FOR NO KEY UPDATE;

-- name: list_roles
-- The roles of a tenant, in the order of their ids.
SELECT id, tenant_id, name, permissions, models, tools, agents, created_at, created_by
FROM bailiwick.roles
WHERE tenant_id = %(tenant)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: count_roles
-- How many roles a tenant has.
SELECT count(*) AS roles FROM bailiwick.roles WHERE tenant_id = %(tenant)s;

-- name: add_role
-- Add a role to a tenant; no row if its name is taken.
INSERT INTO bailiwick.roles (id, tenant_id, name, permissions, models, tools, agents, created_at, created_by)
VALUES (%(role)s, %(tenant)s, %(name)s, %(permissions)s::text[], %(models)s::text[], %(tools)s::jsonb,
        %(agents)s::text[], %(created_at)s, %(created_by)s)
ON CONFLICT (tenant_id, name) DO NOTHING
RETURNING id, tenant_id, name, permissions, models, tools, agents, created_at, created_by;

-- name: change_role
-- Change a role, which keeps its name.
UPDATE bailiwick.roles
SET permissions = %(permissions)s::text[], models = %(models)s::text[], tools = %(tools)s::jsonb,
    agents = %(agents)s::text[]
WHERE tenant_id = %(tenant)s AND id = %(role)s
RETURNING id, tenant_id, name, permissions, models, tools, agents, created_at, created_by;

-- name: remove_role
-- Remove a role.
DELETE FROM bailiwick.roles WHERE tenant_id = %(tenant)s AND id = %(role)s;

-- name: bury_role
-- Note that a role is gone, and forget those that no token can name any more.
WITH forgotten AS (
    DELETE FROM bailiwick.removed_roles
    WHERE tenant_id = %(tenant)s AND name <> %(name)s AND removed_at <= %(at)s::timestamptz - interval '8 days'
)
INSERT INTO bailiwick.removed_roles (tenant_id, name, removed_at) VALUES (%(tenant)s, %(name)s, %(at)s::timestamptz)
ON CONFLICT (tenant_id, name) DO UPDATE SET removed_at = excluded.removed_at;

-- name: revive_role
-- Note that a role of this name is there again.
DELETE FROM bailiwick.removed_roles WHERE tenant_id = %(tenant)s AND name = %(name)s;
