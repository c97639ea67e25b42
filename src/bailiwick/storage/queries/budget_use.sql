-- name: read_use
-- What was spent and is held where `wanted` says, in its order.
SELECT coalesce(sum(b.settled), 0)::bigint AS settled, coalesce(sum(b.reserved), 0)::bigint AS reserved,
       min(b.slice) FILTER (WHERE b.settled > 0 OR b.reserved > 0) AS oldest
FROM unnest(%(budgets)s::uuid[], %(counted)s::text[], %(subjects)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[])
     WITH ORDINALITY AS w (budget_id, counted, subject, first, last, place)
LEFT JOIN bailiwick.budget_slices b
       ON b.tenant_id = %(tenant)s AND b.budget_id = w.budget_id AND b.counted = w.counted AND b.subject = w.subject
      AND b.slice BETWEEN w.first AND w.last
GROUP BY w.place
ORDER BY w.place;

-- name: list_subjects
-- A page of those whom a budget of each counts, in the order of their texts, with what each has spent and holds.
SELECT b.subject, sum(b.settled)::bigint AS settled, sum(b.reserved)::bigint AS reserved,
       min(b.slice) FILTER (WHERE b.settled > 0 OR b.reserved > 0) AS oldest
FROM bailiwick.budget_slices b
WHERE b.tenant_id = %(tenant)s AND b.budget_id = %(budget)s AND b.counted = %(counted)s AND b.subject > %(after)s
  AND b.slice BETWEEN %(first)s AND %(last)s
GROUP BY b.subject
ORDER BY b.subject
LIMIT %(limit)s;

-- name: largest_subjects
-- Those of them who have spent the most.
SELECT b.subject, sum(b.settled)::bigint AS settled, sum(b.reserved)::bigint AS reserved,
       min(b.slice) FILTER (WHERE b.settled > 0 OR b.reserved > 0) AS oldest
FROM bailiwick.budget_slices b
WHERE b.tenant_id = %(tenant)s AND b.budget_id = %(budget)s AND b.counted = %(counted)s
  AND b.slice BETWEEN %(first)s AND %(last)s
GROUP BY b.subject
ORDER BY settled DESC, b.subject
LIMIT %(limit)s;
