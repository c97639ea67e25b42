-- name: take_events
-- Take out the oldest reached shares of budgets, each with what its budget counts; NULL if that is a tier's, or gone.
WITH taken AS (
    DELETE FROM bailiwick.budget_events e
    USING (SELECT id FROM bailiwick.budget_events ORDER BY id LIMIT %(most)s) AS oldest
    WHERE e.id = oldest.id
    RETURNING e.id, e.tenant_id, e.budget_id, e.subject, e.share, e.in_tokens, e.lim, e.settled, e.at
)
SELECT t.id, t.tenant_id, t.budget_id, t.subject, t.share, t.in_tokens, t.lim, t.settled, t.at, b.scope, b.project_id,
       b.subject AS named
FROM taken t LEFT JOIN bailiwick.budgets b ON b.tenant_id = t.tenant_id AND b.id = t.budget_id;

-- name: remove_ended
-- Remove what was counted in windows that have been over for so many days, once no call holds anything of it.
DELETE FROM bailiwick.budget_slices b
USING (SELECT id FROM bailiwick.budget_slices
       WHERE ends_at < %(before)s AND reserved = 0 ORDER BY ends_at LIMIT %(most)s) AS ended
WHERE b.id = ended.id;
