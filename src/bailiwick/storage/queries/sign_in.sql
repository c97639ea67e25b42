-- name: look_up_sign_in
-- Who signs in with an e-mail address, and by what they are known.
SELECT id, tenant_id, email, name, role, status, created_at, created_by, password_hash, has_codes
FROM bailiwick.look_up_sign_in(%(email)s);

-- name: look_up_sign_in_link
-- What a link is good for.
SELECT resets_codes, expires_at, id, tenant_id, email, name, role, status, created_at, created_by, password_hash, has_codes
FROM bailiwick.look_up_sign_in_link(%(digest)s);

-- name: activate_person
-- Let a person sign in who was invited.
UPDATE bailiwick.operators SET status = 'active'
WHERE id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s AND status = 'invited';

-- name: find_secrets
-- By what a person is known.
SELECT password_hash, totp_secret, totp_counter, recovery_digests FROM bailiwick.operator_secrets
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s;

-- name: set_password
-- Give a person a password.
INSERT INTO bailiwick.operator_secrets (operator_id, tenant_id, password_hash)
VALUES (%(operator)s, %(tenant)s, %(hash)s)
ON CONFLICT (operator_id) DO UPDATE SET password_hash = excluded.password_hash;

-- name: set_codes
-- Give a person a second factor, or take it away.
UPDATE bailiwick.operator_secrets
SET totp_secret = %(secret)s, totp_counter = %(counter)s, recovery_digests = %(digests)s
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s;

-- name: use_code
-- Take the code of one half minute; no row if it, or a later one, was used.
UPDATE bailiwick.operator_secrets SET totp_counter = %(counter)s
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s AND totp_counter < %(counter)s;

-- name: use_recovery_code
-- Take a recovery code; no row if it was used or is none.
UPDATE bailiwick.operator_secrets SET recovery_digests = array_remove(recovery_digests, %(digest)s)
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s AND %(digest)s = ANY (recovery_digests);

-- name: add_link
-- Add a link.
INSERT INTO bailiwick.sign_in_links (digest, tenant_id, operator_id, resets_codes, created_at, created_by, expires_at)
VALUES (%(digest)s, %(tenant)s, %(operator)s, %(resets_codes)s, %(at)s, %(by)s, %(expires_at)s);

-- name: use_link
-- Take a link; no row if it was used or has expired.
DELETE FROM bailiwick.sign_in_links
WHERE digest = %(digest)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s AND expires_at > %(at)s;

-- name: remove_links
-- Take back every link that leads to a person, or, to nobody, every one that makes an owner.
DELETE FROM bailiwick.sign_in_links
WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s AND operator_id IS NOT DISTINCT FROM %(operator)s;
