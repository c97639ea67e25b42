-- name: find_tier
-- One tier of a project.
SELECT id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets, created_at,
       created_by
FROM bailiwick.tiers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(tier)s;

-- name: lock_tier
-- One tier of a project, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets, created_at,
       created_by
FROM bailiwick.tiers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(tier)s
FOR NO KEY UPDATE;

-- name: list_tiers
-- The tiers of a project, in the order of their ids.
SELECT id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets, created_at,
       created_by
FROM bailiwick.tiers
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: list_tiers_beside_budgets
-- Every tier of a project, in the order of their ids, each beside the budgets that the project itself gives each user.
SELECT t.id, t.tenant_id, t.project_id, t.name, t.limits, t.models, t.agents, t.tools, t.max_output_tokens, t.budgets,
       t.created_at, t.created_by,
       (SELECT jsonb_agg(to_jsonb(b) ORDER BY b.id) FROM bailiwick.budgets b
        WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.scope = 'user' AND b.subject = '*')
           AS of_each_user
FROM bailiwick.tiers t
WHERE t.tenant_id = %(tenant)s AND t.project_id = %(project)s
ORDER BY t.id;

-- name: count_tiers
-- How many tiers a project has.
SELECT count(*) AS tiers FROM bailiwick.tiers WHERE tenant_id = %(tenant)s AND project_id = %(project)s;

-- name: add_tier
-- Add a tier to a project; no row if its name is taken.
INSERT INTO bailiwick.tiers (id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets,
                             created_at, created_by)
VALUES (%(tier)s, %(tenant)s, %(project)s, %(name)s, %(limits)s, %(models)s::text[], %(agents)s::text[],
        %(tools)s, %(max_output_tokens)s, %(budgets)s, %(created_at)s, %(created_by)s)
ON CONFLICT (tenant_id, project_id, name) DO NOTHING
RETURNING id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets, created_at,
          created_by;

-- name: change_tier
-- Change what can be changed of a tier.
UPDATE bailiwick.tiers
SET name = %(name)s, limits = %(limits)s, models = %(models)s::text[], agents = %(agents)s::text[],
    tools = %(tools)s, max_output_tokens = %(max_output_tokens)s, budgets = %(budgets)s
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(tier)s
RETURNING id, tenant_id, project_id, name, limits, models, agents, tools, max_output_tokens, budgets, created_at,
          created_by;

-- name: remove_tier
-- Remove a tier: whoever comes with its name comes with an unknown one.
DELETE FROM bailiwick.tiers WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND id = %(tier)s;
