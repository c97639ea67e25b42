-- name: look_up_origins
-- The origins that projects list, by their slugs; nothing of a project that lists none.
SELECT asked.slug, cors_origins
FROM unnest(%s::text[]) AS asked (slug), bailiwick.look_up_origins(asked.slug);
