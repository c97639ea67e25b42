-- name: list_signing_keys
-- Every signing key, the first to sign first.
SELECT id, kid, public_jwk, secret, signs_from, created_at, created_by FROM bailiwick.signing_keys ORDER BY signs_from;

-- name: lock_signing_keys
-- Until the end of the transaction nobody else adds one; any number will do that all agree on.
SELECT pg_advisory_xact_lock(x'7369676e'::bigint);

-- name: add_signing_key
-- Add one.
INSERT INTO bailiwick.signing_keys (id, kid, public_jwk, secret, signs_from, created_at, created_by)
VALUES (%(id)s, %(kid)s, %(public_jwk)s::jsonb, %(secret)s, %(signs_from)s, %(created_at)s, %(created_by)s);

-- name: remove_signing_key
-- Forget one, of which no token is good any more.
DELETE FROM bailiwick.signing_keys WHERE kid = %(kid)s;
