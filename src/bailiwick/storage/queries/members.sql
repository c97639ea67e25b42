-- name: find_member
-- One member of a tenant.
SELECT id, tenant_id, issuer, subject, role, scopes, tier, created_at, created_by
FROM bailiwick.members
WHERE tenant_id = %(tenant)s AND id = %(member)s;

-- name: lock_member
-- One member of a tenant, kept as it is until the end of the transaction.
SELECT id, tenant_id, issuer, subject, role, scopes, tier, created_at, created_by
FROM bailiwick.members
WHERE tenant_id = %(tenant)s AND id = %(member)s
FOR NO KEY UPDATE;

-- name: list_members
-- The members of a tenant, or those of one subject, in the order of their ids.
SELECT id, tenant_id, issuer, subject, role, scopes, tier, created_at, created_by
FROM bailiwick.members
WHERE tenant_id = %(tenant)s AND (%(subject)s::text IS NULL OR subject = %(subject)s)
  AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: is_member
-- Whether somebody is a member of a tenant.
SELECT id FROM bailiwick.members WHERE tenant_id = %(tenant)s AND subject = %(subject)s AND issuer = %(issuer)s;

-- name: add_member
-- Add a member to a tenant; no row if it is one already.
INSERT INTO bailiwick.members (id, tenant_id, issuer, subject, role, own_role, scopes, tier, created_at, created_by)
VALUES (%(member)s, %(tenant)s, %(issuer)s, %(subject)s, %(role)s, %(own_role)s, %(scopes)s::text[], %(tier)s,
        %(created_at)s, %(created_by)s)
ON CONFLICT (tenant_id, subject, issuer) DO NOTHING
RETURNING id, tenant_id, issuer, subject, role, scopes, tier, created_at, created_by;

-- name: change_member
-- Change what can be changed of a member.
UPDATE bailiwick.members
SET role = %(role)s, own_role = %(own_role)s, scopes = %(scopes)s::text[], tier = %(tier)s
WHERE tenant_id = %(tenant)s AND id = %(member)s
RETURNING id, tenant_id, issuer, subject, role, scopes, tier, created_at, created_by;

-- name: remove_member
-- Remove a member: their tokens do not enter the tenant any more.
DELETE FROM bailiwick.members WHERE tenant_id = %(tenant)s AND id = %(member)s;
