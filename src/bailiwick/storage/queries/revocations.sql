-- name: find_revocation
-- One revocation of a project.
SELECT id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by
FROM bailiwick.revocations
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(revocation)s;

-- name: list_revocations
-- The revocations of a project, in the order of their ids.
SELECT id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by
FROM bailiwick.revocations
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: latest_revocations
-- The revocations of a project, the newest first.
SELECT id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by
FROM bailiwick.revocations
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s;

-- name: add_revocation
-- Take something away; its number is the trigger's to give.
INSERT INTO bailiwick.revocations (id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by)
VALUES (%(revocation)s, %(tenant)s, %(project)s, %(kind)s, %(value)s, %(at)s, %(at)s, %(created_by)s)
RETURNING id, tenant_id, project_id, kind, value, revoked_at, created_at, created_by;
