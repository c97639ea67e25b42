-- name: lasting_secret
-- The secret from which peppers follow.
SELECT sealed FROM bailiwick.lasting_secret;

-- name: change_lasting_secret
-- The same secret, sealed with another key.
UPDATE bailiwick.lasting_secret SET sealed = %(sealed)s;

-- name: change_check
-- What later starts are held against.
UPDATE bailiwick.installation SET master_check = %(check)s;

-- name: provider_secrets
-- The next sealed API keys of providers, by id.
SELECT id, tenant_id, project_id, secret AS sealed FROM bailiwick.providers
WHERE secret IS NOT NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_provider_secrets
-- The same API keys, sealed with another key.
UPDATE bailiwick.providers p SET secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE p.id = n.id;

-- name: mcp_credentials
-- The next sealed credentials of tool servers, by id.
SELECT id, tenant_id, project_id, credential AS sealed FROM bailiwick.mcp_servers
WHERE credential IS NOT NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_mcp_credentials
-- The same credentials, sealed with another key.
UPDATE bailiwick.mcp_servers s SET credential = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE s.id = n.id;

-- name: webhook_secrets
-- The next sealed secrets of webhooks, by id.
SELECT id, tenant_id, secret AS sealed FROM bailiwick.webhooks WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_webhook_secrets
-- The same secrets, sealed with another key.
UPDATE bailiwick.webhooks w SET secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE w.id = n.id;

-- name: old_webhook_secrets
-- The next sealed secrets that webhooks had before, by id.
SELECT id, tenant_id, old_secret AS sealed FROM bailiwick.webhooks
WHERE old_secret IS NOT NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_old_webhook_secrets
-- The same secrets, sealed with another key.
UPDATE bailiwick.webhooks w SET old_secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE w.id = n.id;

-- name: second_factors
-- The next sealed secrets of people's codes, by id.
SELECT operator_id AS id, totp_secret AS sealed FROM bailiwick.operator_secrets
WHERE totp_secret IS NOT NULL AND operator_id > %(after)s ORDER BY operator_id LIMIT %(limit)s;

-- name: change_second_factors
-- The same secrets, sealed with another key.
UPDATE bailiwick.operator_secrets s SET totp_secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE s.operator_id = n.id;

-- name: client_secrets
-- The next sealed secrets of our clients at OpenID providers, by id.
SELECT id, client_secret AS sealed FROM bailiwick.sign_in_providers
WHERE client_secret IS NOT NULL AND id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_client_secrets
-- The same secrets, sealed with another key.
UPDATE bailiwick.sign_in_providers p SET client_secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE p.id = n.id;

-- name: signing_secrets
-- The next sealed secrets of what signs tokens, by id.
SELECT id, secret AS sealed FROM bailiwick.signing_keys WHERE id > %(after)s ORDER BY id LIMIT %(limit)s;

-- name: change_signing_secrets
-- The same secrets, sealed with another key.
UPDATE bailiwick.signing_keys k SET secret = n.sealed
FROM unnest(%(ids)s::uuid[], %(sealed)s::bytea[]) AS n (id, sealed) WHERE k.id = n.id;

-- name: heads
-- The next heads of the audit log's chains; the installation's goes by an id of its own, after all others.
SELECT coalesce(tenant_id, %(nobody)s::uuid) AS id, tenant_id, seq, digest, signature FROM bailiwick.audit_heads
WHERE coalesce(tenant_id, %(nobody)s::uuid) > %(after)s ORDER BY 1 LIMIT %(limit)s;

-- name: change_signatures
-- The same heads, signed with another key.
UPDATE bailiwick.audit_heads h SET signature = n.signature
FROM unnest(%(ids)s::uuid[], %(signatures)s::bytea[]) AS n (id, signature)
WHERE coalesce(h.tenant_id, %(nobody)s::uuid) = n.id;
