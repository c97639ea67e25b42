-- name: look_up_api_key
-- One key by the part of it that is no secret, with what its project and tenant say of it.
SELECT id, tenant_id, project_id, digest, previous_digest, previous_until, scopes, models, act_as, expires_at,
       revoked_at, project_slug, project_status, tenant_status, limits, require_end_user
FROM bailiwick.look_up_api_key(%s);

-- name: epoch
-- Where the installation's changes stand.
SELECT value FROM bailiwick.epoch;
