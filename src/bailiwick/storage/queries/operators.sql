-- name: look_up_operator_key
-- One operator key by the part of it that is no secret.
SELECT id, name, digest, expires_at, revoked_at FROM bailiwick.look_up_operator_key(%(lookup_id)s);

-- name: add_operator_key
-- Add an operator key, by the operator's role.
INSERT INTO bailiwick.operator_keys (id, name, lookup_id, digest, expires_at, created_at, created_by)
VALUES (%(key)s, %(name)s, %(lookup_id)s, %(digest)s, %(expires_at)s, %(created_at)s, %(created_by)s);
