-- name: tenant_of
-- Which tenant an id of the control plane's addresses belongs to.
SELECT bailiwick.tenant_of(%(kind)s, %(id)s) AS tenant_id;

-- name: find_tenant
-- One tenant, with its oldest project.
SELECT t.id, t.slug, t.name, t.status, t.default_project, t.created_at, t.created_by,
       (SELECT p.id FROM bailiwick.projects p WHERE p.tenant_id = t.id ORDER BY p.id LIMIT 1) AS first_project
FROM bailiwick.tenants t
WHERE t.id = %(tenant)s;

-- name: lock_tenant
-- One tenant, kept as it is until the end of the transaction.
SELECT t.id, t.slug, t.name, t.status, t.default_project, t.created_at, t.created_by,
       (SELECT p.id FROM bailiwick.projects p WHERE p.tenant_id = t.id ORDER BY p.id LIMIT 1) AS first_project
FROM bailiwick.tenants t
WHERE t.id = %(tenant)s
FOR NO KEY UPDATE OF t;

-- name: hold_tenant
-- Keep a tenant from being removed until the end of the transaction.
SELECT t.id FROM bailiwick.tenants t WHERE t.id = %(tenant)s FOR KEY SHARE;

-- name: list_tenants
-- The tenants of the installation, by the operator's role, in the order of their ids.
SELECT t.id, t.slug, t.name, t.status, t.default_project, t.created_at, t.created_by,
       (SELECT p.id FROM bailiwick.projects p WHERE p.tenant_id = t.id ORDER BY p.id LIMIT 1) AS first_project
FROM bailiwick.tenants t
WHERE %(after)s::uuid IS NULL OR t.id > %(after)s::uuid
ORDER BY t.id
LIMIT %(limit)s;

-- name: add_tenant
-- Add a tenant, by the operator's role; no row if its slug is taken.
INSERT INTO bailiwick.tenants (id, slug, name, status, created_at, created_by)
VALUES (%(tenant)s, %(slug)s, %(name)s, %(status)s, %(created_at)s, %(created_by)s)
ON CONFLICT (slug) DO NOTHING
RETURNING id, slug, name, status, default_project, created_at, created_by, NULL::uuid AS first_project;

-- name: change_tenant
-- Change what can be changed of a tenant.
UPDATE bailiwick.tenants
SET slug = %(slug)s, name = %(name)s, status = %(status)s, default_project = %(default_project)s
WHERE id = %(tenant)s;

-- name: remove_tenant
-- Remove a tenant with its projects, keys and providers; the ledger and the audit log stay.
DELETE FROM bailiwick.tenants WHERE id = %(tenant)s;
