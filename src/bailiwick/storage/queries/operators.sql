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
