-- name: offers
-- The providers that serve a project, nearest first, then oldest.
SELECT id, tenant_id, project_id, name, kind, base_url, secret, models, prices, from_environment
FROM bailiwick.providers
WHERE (tenant_id = %(tenant)s AND (project_id = %(project)s OR project_id IS NULL)) OR tenant_id IS NULL
ORDER BY (project_id IS NULL), (tenant_id IS NULL), created_at, id;

-- name: agents
-- The agents of a project that can be called as.
SELECT id, name, model, version FROM bailiwick.agents
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND enabled
ORDER BY id;

-- name: agent
-- What a version of an agent says.
SELECT v.spec
FROM bailiwick.agent_versions v JOIN bailiwick.agents a ON a.tenant_id = v.tenant_id AND a.id = v.agent_id
WHERE v.tenant_id = %(tenant)s AND a.project_id = %(project)s AND v.agent_id = %(agent)s AND v.version = %(version)s;

-- name: aliases
-- What a project calls its models.
SELECT aliases FROM bailiwick.projects WHERE tenant_id = %(tenant)s AND id = %(project)s;
