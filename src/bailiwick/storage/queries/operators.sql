-- name: find_operator
-- One person within reach: a tenant's, or any if no tenant is given.
SELECT id, tenant_id, email, name, role, status, created_at, created_by
FROM bailiwick.operators
WHERE id = %(operator)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid);

-- name: lock_operator
-- One person within reach, kept as it is until the end of the transaction.
SELECT id, tenant_id, email, name, role, status, created_at, created_by
FROM bailiwick.operators
WHERE id = %(operator)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
FOR NO KEY UPDATE;

-- name: list_operators
-- The persons within reach, in the order of their ids.
SELECT id, tenant_id, email, name, role, status, created_at, created_by
FROM bailiwick.operators
WHERE (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid) AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: add_operator
-- Add a person: a tenant's within its scope, the installation's by the operator's role; no row if the address is taken.
INSERT INTO bailiwick.operators (id, tenant_id, email, name, role, status, created_at, created_by)
VALUES (%(operator)s, %(tenant)s, %(email)s, %(name)s, %(role)s, 'invited', %(created_at)s, %(created_by)s)
ON CONFLICT (email) DO NOTHING
RETURNING id, tenant_id, email, name, role, status, created_at, created_by;

-- name: change_operator
-- Change what can be changed of a person within reach.
UPDATE bailiwick.operators
SET name = %(name)s, role = %(role)s, status = %(status)s
WHERE id = %(operator)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
RETURNING id, tenant_id, email, name, role, status, created_at, created_by;

-- name: remove_operator
-- Remove a person within reach.
DELETE FROM bailiwick.operators
WHERE id = %(operator)s AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid);

-- name: has_other_owner
-- Whether the installation has an owner who stays one, beside the one with this id: a person who is active, or a key
-- without an end.
SELECT EXISTS (
    SELECT FROM bailiwick.operators
    WHERE tenant_id IS NULL AND role = 'owner' AND status = 'active' AND id <> %(id)s
) OR EXISTS (
    SELECT FROM bailiwick.operator_keys
    WHERE tenant_id IS NULL AND role = 'owner' AND expires_at IS NULL AND revoked_at IS NULL AND id <> %(id)s
) AS other;
