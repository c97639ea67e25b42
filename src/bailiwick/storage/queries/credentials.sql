-- name: look_up_api_keys
-- Keys by the parts of them that are no secrets, or by their ids, each with what its project and tenant say of it.
SELECT asked.asked, id, lookup_id, digest, previous_digest, previous_until, scopes, models, tools, agents, act_as,
       tier, ip_allow, expires_at, revoked_at, terms
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_api_key(asked.asked);

-- name: look_up_issuers
-- Issuers, each as somebody trusts it.
SELECT asked.asked, id, tenant_id, project_id, slug, document
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_issuer(asked.asked);

-- name: list_issuer_marks
-- What can be looked up of issuers, as digests, as of a change.
SELECT change, marks FROM bailiwick.list_issuer_marks(%s) ORDER BY change;

-- name: look_up_projects
-- Projects by their ids, with what they say of calls.
SELECT asked.asked, terms
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_project(asked.asked::uuid) WHERE terms IS NOT NULL;

-- name: look_up_operator_ends
-- Operator keys by their ids: whose operators they are, and when they end.
SELECT asked.asked, tenant_id, expires_at, revoked_at
FROM unnest(%s::text[]) AS asked (asked), bailiwick.look_up_operator_end(asked.asked::uuid);

-- name: epoch
-- Where the installation's changes stand, and in which of its parts somebody was blocked or let in again.
SELECT value, blocked FROM bailiwick.epoch;
