-- name: take_events
-- Take out the oldest reached shares of budgets, each with what its budget counts; NULL if that is a tier's, or gone.
DELETE FROM bailiwick.budget_events e
USING (SELECT id FROM bailiwick.budget_events ORDER BY id LIMIT %(most)s) AS oldest
WHERE e.id = oldest.id
RETURNING e.tenant_id, e.budget_id, e.subject, e.share, e.in_tokens, e.lim, e.settled, e.at,
          (SELECT b.scope FROM bailiwick.budgets b WHERE b.tenant_id = e.tenant_id AND b.id = e.budget_id) AS scope;

-- name: remove_ended
-- Remove what was counted in windows that have been over for so many days, once no call holds anything of it.
DELETE FROM bailiwick.budget_slices b
USING (SELECT id FROM bailiwick.budget_slices
       WHERE ends_at < %(before)s AND reserved = 0 ORDER BY ends_at LIMIT %(most)s) AS ended
WHERE b.id = ended.id;
