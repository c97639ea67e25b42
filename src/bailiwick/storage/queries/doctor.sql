-- name: roles
-- Our roles, as they are.
SELECT r.rolname AS name, r.rolcanlogin AS logs_in, r.rolinherit AS inherits,
       r.rolsuper OR r.rolbypassrls AS bypasses,
       array(SELECT b.rolname::text FROM pg_auth_members m JOIN pg_roles b ON b.oid = m.roleid
             WHERE m.member = r.oid ORDER BY 1) AS member_of
FROM pg_roles r WHERE starts_with(r.rolname, 'bailiwick_') ORDER BY r.rolname;

-- name: tables
-- Our tables that have a tenant, and how they are guarded. Partitions are reached through their parent only.
SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
       (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid) AS policies,
       (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = c.oid) AS partitions
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (c.relname = 'tenants' OR EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
ORDER BY c.relname;

-- name: made
-- A row if our schema is there, whoever asks.
SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bailiwick' AND c.relname = 'migrations';

-- name: migrations
-- Which migrations ran.
SELECT name FROM bailiwick.migrations ORDER BY name;

-- name: processes
-- Gateway processes with a lease, and the calls they hold open.
SELECT p.id, p.beat_at > now() - interval '5 seconds' AS alive,
       (SELECT count(*) FROM bailiwick.open_calls o WHERE o.process_id = p.id) AS open_calls
FROM bailiwick.processes p ORDER BY p.started_at;
