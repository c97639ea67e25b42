-- name: look_up_memberships
-- Memberships, each of one person in one tenant: issuer, subject, tenant and project as a JSON list.
SELECT asked.asked, tenant_id, tenant_slug, project_id, role, scopes, tier
FROM unnest(%s::text[]) AS asked (asked),
     bailiwick.look_up_membership(asked.asked::jsonb ->> 0, asked.asked::jsonb ->> 1, asked.asked::jsonb ->> 2,
                                  asked.asked::jsonb ->> 3);
