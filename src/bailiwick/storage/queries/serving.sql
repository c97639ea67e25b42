-- name: offers
-- The providers that serve a project, nearest first, then oldest.
SELECT id, tenant_id, project_id, name, kind, base_url, secret, models, prices, from_environment
FROM bailiwick.providers
WHERE (tenant_id = %(tenant)s AND (project_id = %(project)s OR project_id IS NULL)) OR tenant_id IS NULL
ORDER BY (project_id IS NULL), (tenant_id IS NULL), created_at, id;

-- name: aliases
-- What a project calls its models.
SELECT aliases FROM bailiwick.projects WHERE tenant_id = %(tenant)s AND id = %(project)s;
