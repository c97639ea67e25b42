-- name: find_budget
-- One budget of a project, or of a tenant.
SELECT id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed, max_wait_ms, on_lost, models,
       created_at, created_by
FROM bailiwick.budgets
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid AND id = %(budget)s;

-- name: lock_budget
-- One budget of a project, or of a tenant, kept as it is until the end of the transaction.
SELECT id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed, max_wait_ms, on_lost, models,
       created_at, created_by
FROM bailiwick.budgets
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid AND id = %(budget)s
FOR NO KEY UPDATE;

-- name: list_budgets
-- The budgets of a project, or of a tenant, or one of them, in the order of their ids, with what is used of each.
SELECT id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed, max_wait_ms, on_lost, models,
       created_at, created_by,
       (SELECT jsonb_object_agg(u.counted, jsonb_build_array(u.settled, u.reserved, u.oldest))
        FROM (SELECT s.counted, sum(s.settled) AS settled, sum(s.reserved) AS reserved,
                     min(s.slice) FILTER (WHERE s.settled > 0 OR s.reserved > 0) AS oldest
              FROM bailiwick.budget_slices s
              WHERE s.tenant_id = %(tenant)s AND s.budget_id = b.id AND s.subject = ''
                AND (s.ends_at IS NULL OR s.ends_at > %(now)s) AND b.subject IS DISTINCT FROM '*'
              GROUP BY s.counted) u) AS used
FROM bailiwick.budgets b
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid
  AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid) AND (%(budget)s::uuid IS NULL OR id = %(budget)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: count_budgets
-- How many budgets a project has, or a tenant of its own.
SELECT count(*) AS budgets FROM bailiwick.budgets
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid;

-- name: add_budget
-- Add a budget to a project, or to a tenant.
INSERT INTO bailiwick.budgets (id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed,
                               max_wait_ms, on_lost, models, created_at, created_by)
VALUES (%(budget)s, %(tenant)s, %(project)s, %(scope)s, %(subject)s, %(unit)s, %(amount)s, %(period)s, %(timezone)s,
        %(on_exceed)s, %(max_wait_ms)s, %(on_lost)s, %(models)s::text[], %(created_at)s, %(created_by)s)
RETURNING id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed, max_wait_ms, on_lost,
          models, created_at, created_by;

-- name: change_budget
-- Change what can be changed of a budget: not whom it counts, nor in what.
UPDATE bailiwick.budgets
SET amount = %(amount)s, period = %(period)s, timezone = %(timezone)s, on_exceed = %(on_exceed)s,
    max_wait_ms = %(max_wait_ms)s, on_lost = %(on_lost)s, models = %(models)s::text[]
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid AND id = %(budget)s
RETURNING id, tenant_id, project_id, scope, subject, unit, amount, period, timezone, on_exceed, max_wait_ms, on_lost,
          models, created_at, created_by;

-- name: remove_budget
-- Remove a budget; what was spent under it stays counted.
DELETE FROM bailiwick.budgets
WHERE tenant_id = %(tenant)s AND project_id IS NOT DISTINCT FROM %(project)s::uuid AND id = %(budget)s;
