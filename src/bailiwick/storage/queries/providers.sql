-- name: find_provider
-- One provider of a project, of a tenant, or of the platform; never its secret.
SELECT id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
       from_environment, created_at, created_by
FROM bailiwick.providers
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: account
-- One provider of a project, of a tenant, or of the platform, with its sealed secret, for a use or a change of it.
SELECT id, tenant_id, project_id, name, kind, base_url, secret, secret IS NOT NULL AS has_secret, models, prices,
       from_environment, created_at, created_by
FROM bailiwick.providers
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: lock_provider
-- One provider of a project, of a tenant, or of the platform, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
       from_environment, created_at, created_by
FROM bailiwick.providers
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid
FOR NO KEY UPDATE;

-- name: list_providers
-- The providers of a project, of a tenant, or of the platform, in the order of their ids.
SELECT id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
       from_environment, created_at, created_by
FROM bailiwick.providers
WHERE tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid AND project_id IS NOT DISTINCT FROM %(project)s::uuid
  AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: add_provider
-- Add a provider to a project, to a tenant, or to the platform; no row if its name is taken there.
INSERT INTO bailiwick.providers (id, tenant_id, project_id, name, kind, base_url, secret, models, prices,
                                 from_environment, created_at, created_by)
VALUES (%(provider)s, %(tenant)s, %(project)s, %(name)s, %(kind)s, %(base_url)s, %(secret)s, %(models)s::text[],
        %(prices)s, %(from_environment)s, %(created_at)s, %(created_by)s)
ON CONFLICT (tenant_id, project_id, name) DO NOTHING
RETURNING id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
          from_environment, created_at, created_by;

-- name: change_provider
-- Change a provider, but for its secret.
UPDATE bailiwick.providers
SET name = %(name)s, kind = %(kind)s, base_url = %(base_url)s, models = %(models)s::text[], prices = %(prices)s
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid
RETURNING id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
          from_environment, created_at, created_by;

-- name: change_secret
-- Set or remove the sealed secret of a provider.
UPDATE bailiwick.providers
SET secret = %(secret)s
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid
RETURNING id, tenant_id, project_id, name, kind, base_url, secret IS NOT NULL AS has_secret, models, prices,
          from_environment, created_at, created_by;

-- name: remove_provider
-- Remove a provider; the ledger keeps its name.
DELETE FROM bailiwick.providers
WHERE id = %(provider)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid
  AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: platform_providers
-- The platform's providers with sealed secrets, by the operator's role, kept as they are until the transaction's end.
SELECT id, tenant_id, project_id, name, kind, base_url, secret, secret IS NOT NULL AS has_secret, models, prices,
       from_environment, created_at, created_by
FROM bailiwick.providers
WHERE tenant_id IS NULL
ORDER BY created_at, id
FOR UPDATE;
