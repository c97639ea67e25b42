-- name: look_up_api_keys
-- Keys by the parts of them that are no secrets, or by their ids, each with what its project and tenant say of it.
SELECT asked.asked, id, lookup_id, digest, previous_digest, previous_until, scopes, models, tools, agents, act_as,
       tier, ip_allow, expires_at, revoked_at, terms
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_api_key(asked.asked);

-- name: look_up_issuers
-- Who trusts issuers of these names.
SELECT asked.asked, issuers
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_issuers(asked.asked) WHERE issuers IS NOT NULL;

-- name: look_up_projects
-- Projects by their ids, with what they say of calls.
SELECT asked.asked, terms
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_project(asked.asked::uuid) WHERE terms IS NOT NULL;

-- name: epoch
-- Where the installation's changes stand, and in which of its parts somebody was blocked or let in again.
SELECT value, blocked FROM bailiwick.epoch;
