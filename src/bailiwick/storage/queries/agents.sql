-- name: find_agent
-- One agent of a project, as its newest version says.
SELECT a.id, a.tenant_id, a.project_id, a.version, a.created_at, a.created_by, v.spec, v.created_at AS changed_at,
       v.created_by AS changed_by
FROM bailiwick.agents a
JOIN bailiwick.agent_versions v ON v.tenant_id = a.tenant_id AND v.agent_id = a.id AND v.version = a.version
WHERE a.tenant_id = %(tenant)s AND a.project_id = %(project)s AND a.id = %(agent)s;

-- name: hold_agent
-- Keep an agent of a project as it is until the end of the transaction.
SELECT id FROM bailiwick.agents
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(agent)s
FOR NO KEY UPDATE;

-- name: list_agents
-- The agents of a project, in the order of their ids.
SELECT a.id, a.tenant_id, a.project_id, a.version, a.created_at, a.created_by, v.spec, v.created_at AS changed_at,
       v.created_by AS changed_by
FROM bailiwick.agents a
JOIN bailiwick.agent_versions v ON v.tenant_id = a.tenant_id AND v.agent_id = a.id AND v.version = a.version
WHERE a.tenant_id = %(tenant)s AND a.project_id = %(project)s AND (%(after)s::uuid IS NULL OR a.id > %(after)s::uuid)
ORDER BY a.id
LIMIT %(limit)s;

-- name: count_agents
-- How many agents a project has.
SELECT count(*) AS agents FROM bailiwick.agents WHERE tenant_id = %(tenant)s AND project_id = %(project)s;

-- name: add_agent
-- Add an agent to a project; no row if its name is taken.
INSERT INTO bailiwick.agents (id, tenant_id, project_id, name, model, enabled, version, created_at, created_by)
VALUES (%(agent)s, %(tenant)s, %(project)s, %(name)s, %(model)s, %(enabled)s, 1, %(at)s, %(by)s)
ON CONFLICT (tenant_id, project_id, name) DO NOTHING
RETURNING version;

-- name: change_agent
-- Give an agent its next version.
UPDATE bailiwick.agents SET name = %(name)s, model = %(model)s, enabled = %(enabled)s, version = version + 1
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(agent)s
RETURNING version;

-- name: add_version
-- Keep what a version says.
INSERT INTO bailiwick.agent_versions (id, tenant_id, agent_id, version, spec, created_at, created_by)
VALUES (%(id)s, %(tenant)s, %(agent)s, %(version)s, %(spec)s, %(at)s, %(by)s);

-- name: list_versions
-- The versions of an agent of a project, the oldest first.
SELECT v.id, v.version, v.spec, v.created_at, v.created_by
FROM bailiwick.agent_versions v JOIN bailiwick.agents a ON a.tenant_id = v.tenant_id AND a.id = v.agent_id
WHERE v.tenant_id = %(tenant)s AND a.project_id = %(project)s AND v.agent_id = %(agent)s
  AND v.version > coalesce((SELECT p.version FROM bailiwick.agent_versions p
                            WHERE p.tenant_id = %(tenant)s AND p.agent_id = %(agent)s AND p.id = %(after)s::uuid), 0)
ORDER BY v.version
LIMIT %(limit)s;

-- name: remove_agent
-- Remove an agent with its versions.
DELETE FROM bailiwick.agents WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(agent)s;
