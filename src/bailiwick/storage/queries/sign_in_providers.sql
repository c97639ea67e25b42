-- name: list_sign_in_providers
-- A page of the providers by which people sign in.
SELECT id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by
FROM bailiwick.sign_in_providers WHERE %(after)s::uuid IS NULL OR id > %(after)s::uuid ORDER BY id LIMIT %(limit)s;

-- name: find_sign_in_provider
-- One provider.
SELECT id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by
FROM bailiwick.sign_in_providers WHERE id = %(id)s;

-- name: lock_sign_in_provider
-- One provider, kept as it is until the end of the transaction.
SELECT id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by
FROM bailiwick.sign_in_providers WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: add_sign_in_provider
-- Add a provider; no row if there is one of the same issuer.
INSERT INTO bailiwick.sign_in_providers
    (id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by)
VALUES (%(id)s, %(name)s, %(issuer)s, %(client_id)s, %(client_secret)s, %(scopes)s, %(rules)s, %(at)s, %(by)s)
ON CONFLICT (issuer) DO NOTHING
RETURNING id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by;

-- name: change_sign_in_provider
-- Make a provider what is asked; its issuer stays, since identities are of it.
UPDATE bailiwick.sign_in_providers
SET name = %(name)s, client_id = %(client_id)s, client_secret = %(client_secret)s, scopes = %(scopes)s, rules = %(rules)s
WHERE id = %(id)s
RETURNING id, name, issuer, client_id, client_secret, scopes, rules, created_at, created_by;

-- name: remove_sign_in_provider
-- Remove a provider.
DELETE FROM bailiwick.sign_in_providers WHERE id = %(id)s;

-- name: look_up_identity
-- Whose an identity at a provider is.
SELECT id, tenant_id, email, name, role, status, created_at, created_by
FROM bailiwick.look_up_identity(%(issuer)s, %(subject)s);

-- name: add_identity
-- Know a person by their identity at a provider.
INSERT INTO bailiwick.operator_identities (issuer, subject, tenant_id, operator_id, created_at)
VALUES (%(issuer)s, %(subject)s, %(tenant)s, %(operator)s, %(at)s);

-- name: finish_sign_in
-- Note that a sign-in is finished; no row if it was before.
INSERT INTO bailiwick.finished_sign_ins (digest, expires_at) VALUES (%(digest)s, %(expires_at)s)
ON CONFLICT (digest) DO NOTHING;

-- name: forget_finished_sign_ins
-- Forget those that would be too old anyway.
DELETE FROM bailiwick.finished_sign_ins WHERE expires_at <= %(at)s;
