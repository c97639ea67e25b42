-- name: look_up_api_keys
-- Keys by the parts of them that are no secrets, each with what its project and tenant say of it.
SELECT asked.lookup_id, id, tenant_id, project_id, digest, previous_digest, previous_until, scopes, models, act_as,
       expires_at, revoked_at, project_slug, project_status, tenant_status, limits, require_end_user,
       on_disconnect
FROM unnest(%s::text[]) AS asked (lookup_id), bailiwick.look_up_api_key(asked.lookup_id);

-- name: epoch
-- Where the installation's changes stand, and in which of its parts somebody was blocked or let in again.
SELECT value, blocked FROM bailiwick.epoch;
