-- name: look_up_operator_key
-- One operator key by the part of it that is no secret.
SELECT id, tenant_id, name, role, lookup_id, digest, previous_digest, previous_until, expires_at, revoked_at,
       created_at, created_by
FROM bailiwick.look_up_operator_key(%(lookup_id)s);

-- name: add_operator_key
-- Add an operator key: a tenant's within its scope, the installation's by the operator's role.
INSERT INTO bailiwick.operator_keys (id, tenant_id, name, role, lookup_id, digest, expires_at, created_at, created_by)
VALUES (%(key)s, %(tenant)s, %(name)s, %(role)s, %(lookup_id)s, %(digest)s, %(expires_at)s, %(created_at)s,
        %(created_by)s);

-- name: find_operator_key
-- One operator key within reach: a tenant's, or any if no tenant is given; never its digests.
SELECT id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by
FROM bailiwick.operator_keys
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid);

-- name: lock_operator_key
-- One operator key within reach, kept as it is until the end of the transaction.
SELECT id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by
FROM bailiwick.operator_keys
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
FOR NO KEY UPDATE;

-- name: list_operator_keys
-- The operator keys within reach, in the order of their ids.
SELECT id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by
FROM bailiwick.operator_keys
WHERE (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid) AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: rename_operator_key
-- Give an operator key within reach another name.
UPDATE bailiwick.operator_keys
SET name = %(name)s
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
RETURNING id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by;

-- name: rotate_operator_key
-- Give an operator key within reach another secret; the one before it stays good until the end of its grace, if any.
UPDATE bailiwick.operator_keys
SET digest = %(digest)s,
    previous_digest = CASE WHEN %(previous_until)s::timestamptz IS NOT NULL THEN digest END,
    previous_until = %(previous_until)s::timestamptz
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
RETURNING id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by;

-- name: revoke_operator_key
-- End an operator key within reach with all its secrets.
UPDATE bailiwick.operator_keys
SET revoked_at = %(revoked_at)s
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid) AND revoked_at IS NULL
RETURNING id, tenant_id, name, role, lookup_id, previous_until, expires_at, revoked_at, created_at, created_by;

-- name: remove_operator_key
-- Remove an operator key within reach.
DELETE FROM bailiwick.operator_keys
WHERE id = %(key)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid);
