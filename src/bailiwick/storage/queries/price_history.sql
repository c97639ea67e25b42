-- name: add_price_versions
-- Keep versions of prices; what is kept already stays as it is.
INSERT INTO bailiwick.price_versions (id, tenant_id, kind, model, source, rates)
SELECT v.id, v.tenant_id, v.kind, v.model, v.source, v.rates
FROM json_to_recordset($1::json) AS v (id bigint, tenant_id uuid, kind text, model text, source text, rates jsonb)
ON CONFLICT DO NOTHING;

-- name: find_price_version
-- One version of a price, as a tenant's calls were charged by it.
SELECT id, kind, model, source, rates, since FROM bailiwick.price_versions
WHERE tenant_id = %(tenant)s AND id = %(version)s;

-- name: list_price_versions
-- The versions of prices that a tenant's calls were charged by, in the order of their numbers.
SELECT id, kind, model, source, rates, since FROM bailiwick.price_versions
WHERE tenant_id = %(tenant)s AND id > %(after)s
ORDER BY id
LIMIT %(limit)s;
