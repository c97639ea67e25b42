-- name: lock_installation
-- Let one process at a time decide whether this is the first start, until the end of the transaction.
SELECT pg_advisory_xact_lock(%(lock)s);

-- name: find_installation
-- What was kept of the first start.
SELECT master_check, public_url, created_at FROM bailiwick.installation;

-- name: add_installation
-- Keep what later starts are held against.
INSERT INTO bailiwick.installation (master_check, public_url, created_at)
VALUES (%(master_check)s, %(public_url)s, %(created_at)s);

-- name: change_public_url
-- Keep another public URL.
UPDATE bailiwick.installation SET public_url = %(public_url)s;
