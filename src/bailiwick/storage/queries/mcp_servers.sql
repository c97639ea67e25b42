-- name: find_mcp_server
-- One tool server of a project; never its credential.
SELECT id, tenant_id, project_id, name, url, credential_header, credential IS NOT NULL AS has_credential, enabled, tools,
       created_at, created_by
FROM bailiwick.mcp_servers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(server)s;

-- name: lock_mcp_server
-- One tool server of a project with its sealed credential, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, name, url, credential_header, credential IS NOT NULL AS has_credential, enabled, tools,
       created_at, created_by, credential
FROM bailiwick.mcp_servers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(server)s
FOR NO KEY UPDATE;

-- name: list_mcp_servers
-- The tool servers of a project, in the order of their ids.
SELECT id, tenant_id, project_id, name, url, credential_header, credential IS NOT NULL AS has_credential, enabled, tools,
       created_at, created_by
FROM bailiwick.mcp_servers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: count_mcp_servers
-- How many tool servers a project has.
SELECT count(*) AS servers FROM bailiwick.mcp_servers WHERE tenant_id = %(tenant)s AND project_id = %(project)s;

-- name: add_mcp_server
-- Register a tool server with a project; no row if its name is taken.
INSERT INTO bailiwick.mcp_servers (id, tenant_id, project_id, name, url, credential_header, credential, enabled, tools,
                                   created_at, created_by)
VALUES (%(server)s, %(tenant)s, %(project)s, %(name)s, %(url)s, %(credential_header)s, %(credential)s, %(enabled)s,
        %(tools)s, %(created_at)s, %(created_by)s)
ON CONFLICT (tenant_id, project_id, name) DO NOTHING
RETURNING id, tenant_id, project_id, name, url, credential_header, credential IS NOT NULL AS has_credential, enabled, tools,
          created_at, created_by;

-- name: change_mcp_server
-- Change a tool server, and the sealed credential that goes there.
UPDATE bailiwick.mcp_servers
SET name = %(name)s, url = %(url)s, credential_header = %(credential_header)s, credential = %(credential)s,
    enabled = %(enabled)s, tools = %(tools)s
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(server)s
RETURNING id, tenant_id, project_id, name, url, credential_header, credential IS NOT NULL AS has_credential, enabled, tools,
          created_at, created_by;

-- name: remove_mcp_server
-- Remove a tool server; the ledger keeps its name.
DELETE FROM bailiwick.mcp_servers WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(server)s;

-- name: serving_mcp_servers
-- What the gateway needs to reach a project's tool servers.
SELECT id, name, url, credential_header, credential, enabled, tools
FROM bailiwick.mcp_servers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s;
