-- name: find_issuer
-- One issuer of a project, or of the platform.
SELECT id, tenant_id, project_id, document, created_at, created_by
FROM bailiwick.issuers
WHERE id = %(issuer)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: lock_issuer
-- One issuer of a project, or of the platform, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, document, created_at, created_by
FROM bailiwick.issuers
WHERE id = %(issuer)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid
FOR NO KEY UPDATE;

-- name: list_issuers
-- The issuers of a project, or of the platform, in the order of their ids.
SELECT id, tenant_id, project_id, document, created_at, created_by
FROM bailiwick.issuers
WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid AND project_id IS NOT DISTINCT FROM %(project)s::uuid
  AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: count_issuers
-- How many issuers a project, or the platform, has.
SELECT count(*) AS issuers
FROM bailiwick.issuers
WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: add_issuer
-- Add an issuer to a project, or to the platform.
INSERT INTO bailiwick.issuers (id, tenant_id, project_id, issuer, user_prefix, document, created_at, created_by)
VALUES (%(id)s, %(tenant)s, %(project)s, %(issuer)s, %(user_prefix)s, %(document)s, %(created_at)s, %(created_by)s)
RETURNING id, tenant_id, project_id, document, created_at, created_by;

-- name: change_issuer
-- Change an issuer, which keeps its name.
UPDATE bailiwick.issuers
SET user_prefix = %(user_prefix)s, document = %(document)s
WHERE id = %(id)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid
RETURNING id, tenant_id, project_id, document, created_at, created_by;

-- name: remove_issuer
-- Remove an issuer: its tokens are those of a stranger.
DELETE FROM bailiwick.issuers
WHERE id = %(issuer)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: platform_issuers
-- All that the platform trusts, by the operator's role.
SELECT id, tenant_id, project_id, document, created_at, created_by
FROM bailiwick.issuers
WHERE tenant_id IS NULL
ORDER BY id;

-- name: taken_away
-- Whether whom a token speaks for is blocked in a project, and what of the token was revoked.
SELECT EXISTS (SELECT FROM bailiwick.blocked_users b
               WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = %(uid)s AND b.blocked) AS blocked,
       (SELECT r.kind FROM bailiwick.revocations r
        WHERE r.tenant_id = %(tenant)s AND r.project_id = %(project)s
          AND (r.kind = 'token' AND r.value = %(jti)s OR r.kind = 'session' AND r.value = %(sid)s
               OR r.kind = 'user' AND r.value = %(uid)s AND r.revoked_at >= to_timestamp(%(issued_at)s))
        LIMIT 1) AS revoked;
