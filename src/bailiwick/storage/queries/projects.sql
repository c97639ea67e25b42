-- name: find_project
-- One project of a tenant.
SELECT id, tenant_id, slug, name, status, limits, aliases, default_tier, require_end_user, cors_origins,
       on_disconnect, default_max_output_tokens, tools, created_at, created_by
FROM bailiwick.projects
WHERE tenant_id = %(tenant)s AND id = %(project)s;

-- name: find_placed_project
-- One project of a tenant, the tenant, and the names of the project's keys.
SELECT p.id, p.tenant_id, p.slug, p.name, p.status, p.limits, p.aliases, p.default_tier, p.require_end_user, p.cors_origins,
       p.on_disconnect, p.default_max_output_tokens, p.tools, p.created_at, p.created_by, t.id AS t_id, t.slug AS t_slug, t.name AS t_name,
       t.status AS t_status, t.default_project AS t_default_project, t.created_at AS t_created_at,
       t.created_by AS t_created_by, (SELECT f.id FROM bailiwick.projects f WHERE f.tenant_id = t.id
                                      ORDER BY f.id LIMIT 1) AS t_first_project,
       (SELECT json_object_agg(k.id, k.name) FROM bailiwick.api_keys k
        WHERE k.tenant_id = p.tenant_id AND k.project_id = p.id) AS key_names
FROM bailiwick.projects p JOIN bailiwick.tenants t ON t.id = p.tenant_id
WHERE p.tenant_id = %(tenant)s AND p.id = %(project)s;

-- name: lock_project
-- One project of a tenant, kept as it is until the end of the transaction.
SELECT id, tenant_id, slug, name, status, limits, aliases, default_tier, require_end_user, cors_origins,
       on_disconnect, default_max_output_tokens, tools, created_at, created_by
FROM bailiwick.projects
WHERE tenant_id = %(tenant)s AND id = %(project)s
FOR NO KEY UPDATE;

-- name: hold_project
-- Keep a project from being removed until the end of the transaction.
SELECT id FROM bailiwick.projects WHERE tenant_id = %(tenant)s AND id = %(project)s FOR KEY SHARE;

-- name: list_projects
-- The projects of a tenant, in the order of their ids.
SELECT id, tenant_id, slug, name, status, limits, aliases, default_tier, require_end_user, cors_origins,
       on_disconnect, default_max_output_tokens, tools, created_at, created_by
FROM bailiwick.projects
WHERE tenant_id = %(tenant)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: list_every_project
-- All projects of a tenant, or of everybody by the operator's role, in the order of their ids, with their tenants' names.
SELECT p.id, p.tenant_id, p.slug, p.name, p.status, p.limits, p.aliases, p.default_tier, p.require_end_user, p.cors_origins,
       p.on_disconnect, p.default_max_output_tokens, p.tools, p.created_at, p.created_by, t.name AS tenant_name
FROM bailiwick.projects p
JOIN bailiwick.tenants t ON t.id = p.tenant_id
WHERE (%(tenant)s::uuid IS NULL OR p.tenant_id = %(tenant)s)
  AND (%(after)s::uuid IS NULL OR p.id > %(after)s::uuid)
ORDER BY p.id
LIMIT %(limit)s;

-- name: add_project
-- Add a project to a tenant; no row if its slug is taken.
INSERT INTO bailiwick.projects (id, tenant_id, slug, name, status, limits, aliases, default_tier,
                                require_end_user, cors_origins, on_disconnect, default_max_output_tokens,
                                tools, created_at, created_by)
VALUES (%(project)s, %(tenant)s, %(slug)s, %(name)s, %(status)s, %(limits)s, %(aliases)s, %(default_tier)s,
        %(require_end_user)s, %(cors_origins)s, %(on_disconnect)s, %(default_max_output_tokens)s,
        %(tools)s, %(created_at)s, %(created_by)s)
ON CONFLICT (slug) DO NOTHING
RETURNING id, tenant_id, slug, name, status, limits, aliases, default_tier, require_end_user, cors_origins,
          on_disconnect, default_max_output_tokens, tools, created_at, created_by;

-- name: change_project
-- Change what can be changed of a project.
UPDATE bailiwick.projects
SET slug = %(slug)s, name = %(name)s, status = %(status)s, limits = %(limits)s, aliases = %(aliases)s,
    default_tier = %(default_tier)s, require_end_user = %(require_end_user)s, cors_origins = %(cors_origins)s,
    on_disconnect = %(on_disconnect)s, default_max_output_tokens = %(default_max_output_tokens)s, tools = %(tools)s
WHERE tenant_id = %(tenant)s AND id = %(project)s
RETURNING id, tenant_id, slug, name, status, limits, aliases, default_tier, require_end_user, cors_origins,
          on_disconnect, default_max_output_tokens, tools, created_at, created_by;

-- name: remove_project
-- Remove a project with its keys and providers; the ledger stays.
DELETE FROM bailiwick.projects WHERE tenant_id = %(tenant)s AND id = %(project)s;
