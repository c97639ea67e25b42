-- name: privileged_roles
-- A role of ours that policies do not bind, or that could make one.
SELECT format('role %s has %s', rolname, concat_ws(' and ',
       CASE WHEN rolsuper THEN 'SUPERUSER' END,
       CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
       CASE WHEN rolcreaterole THEN 'CREATEROLE' END)) AS violation
FROM pg_roles
WHERE starts_with(rolname, 'bailiwick_') AND (rolsuper OR rolbypassrls OR rolcreaterole);

-- name: missing_roles
-- A role of ours that is not there.
SELECT format('role %s does not exist', wanted.name) AS violation
FROM unnest(ARRAY['bailiwick_owner', 'bailiwick_app', 'bailiwick_ledger', 'bailiwick_control', 'bailiwick_operator',
                  'bailiwick_auth']) AS wanted (name)
LEFT JOIN pg_roles ON rolname = wanted.name
WHERE rolname IS NULL;

-- name: login_roles
-- A role that nobody should log in as, and somebody could.
SELECT format('role %s can log in', rolname) AS violation
FROM pg_roles
WHERE rolcanlogin AND rolname IN ('bailiwick_owner', 'bailiwick_operator', 'bailiwick_auth');

-- name: unexpected_members
-- Who reaches one of our roles by any chain of memberships, or what one of ours reaches. Superusers cannot be kept
-- out; the login that migrates is made a member of what it creates by PostgreSQL itself, without inheriting it.
WITH RECURSIVE reach (member, role, path, inherits) AS (
    SELECT m.member, m.roleid, ARRAY[m.member, m.roleid], a.rolinherit
    FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member
    UNION ALL
    SELECT r.member, m.roleid, r.path || m.roleid, r.inherits
    FROM reach r JOIN pg_auth_members m ON m.member = r.role
    WHERE NOT m.roleid = ANY (r.path)
)
SELECT DISTINCT format('role %s is a member of %s (%s)', a.rolname, b.rolname,
       (SELECT string_agg(p.rolname, ' -> ' ORDER BY u.place)
        FROM unnest(reach.path) WITH ORDINALITY AS u (oid, place) JOIN pg_roles p ON p.oid = u.oid)) AS violation
FROM reach
JOIN pg_roles a ON a.oid = reach.member
JOIN pg_roles b ON b.oid = reach.role
WHERE (starts_with(b.rolname, 'bailiwick_') OR starts_with(a.rolname, 'bailiwick_'))
  AND NOT a.rolsuper
  AND a.rolname <> current_user
  AND (a.rolname, b.rolname) NOT IN
      (('bailiwick_control', 'bailiwick_operator'), ('bailiwick_owner', 'bailiwick_auth'))
ORDER BY 1;

-- name: inheriting_roles
-- A role that would have its members' policies by inheritance, without asking for them.
SELECT format('role %s inherits what it is a member of', rolname) AS violation
FROM pg_roles
WHERE rolname IN ('bailiwick_control', 'bailiwick_owner') AND rolinherit;

-- name: inheriting_memberships
-- The same, by the membership itself: since PostgreSQL 16 it is the grant that says whether it inherits.
SELECT format('role %s inherits %s', a.rolname, b.rolname) AS violation
FROM pg_auth_members m JOIN pg_roles a ON a.oid = m.member JOIN pg_roles b ON b.oid = m.roleid
WHERE starts_with(a.rolname, 'bailiwick_')
  AND coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, a.rolinherit);

-- name: foreign_owners
-- A table that belongs to a role that only reads or writes it, or one of ours that is not the owner's.
SELECT format('%s %I.%I is owned by %s', CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
       n.nspname, c.relname, r.rolname) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND CASE WHEN n.nspname = 'bailiwick' THEN r.rolname <> 'bailiwick_owner'
           ELSE r.rolname IN ('bailiwick_app', 'bailiwick_ledger', 'bailiwick_control', 'bailiwick_operator',
                              'bailiwick_auth') END;

-- name: unforced_tables
-- A table with a tenant whose rows are not, or not always, kept apart.
SELECT format('table bailiwick.%I has row-level security %s', c.relname,
       CASE WHEN c.relrowsecurity THEN 'not forced' ELSE 'switched off' END) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p')
  AND (c.relname = 'tenants' OR EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
  AND NOT (c.relrowsecurity AND c.relforcerowsecurity);

-- name: tables_without_policy
-- A table with a tenant that no policy speaks of.
SELECT format('table bailiwick.%I has no policy', c.relname) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (c.relname = 'tenants' OR EXISTS (
      SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
  AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid);

-- name: wide_policies
-- A policy that lets the gateway or the control role past the tenant in scope. The one stated exception lets every
-- tenant read the platform's providers.
SELECT format('policy %s on %I.%I lets %s past the tenant', policyname, schemaname, tablename,
       array_to_string(roles, ', ')) AS violation
FROM pg_policies
CROSS JOIN (VALUES ('^\((tenant_id|id) = \( SELECT \(current_setting\(''bailiwick\.tenant_id''::text\)\)::uuid AS current_setting\)\)$'))
     AS tenant (pattern)
WHERE schemaname = 'bailiwick'
  AND NOT roles <@ ARRAY['bailiwick_operator', 'bailiwick_ledger', 'bailiwick_auth']::name[]
  AND NOT (roles <@ ARRAY['bailiwick_app', 'bailiwick_control']::name[]
           AND permissive = 'PERMISSIVE'
           AND coalesce(qual, with_check) ~ tenant.pattern
           AND coalesce(with_check, qual) ~ tenant.pattern)
  AND NOT (policyname = 'app_platform' AND tablename = 'providers' AND cmd = 'SELECT'
           AND roles = ARRAY['bailiwick_app']::name[] AND qual = '(tenant_id IS NULL)');

-- name: leaking_views
-- A view that would read with its owner's eyes.
SELECT format('view bailiwick.%I is not security_invoker', c.relname) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('v', 'm')
  AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false);

-- name: granted_partitions
-- A partition that can be read by its own name, or one of its columns.
SELECT DISTINCT format('partition bailiwick.%I is granted to %s', c.relname,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT grantee FROM aclexplode(c.relacl)
    UNION
    SELECT x.grantee FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) x WHERE t.attrelid = c.oid
) AS a
WHERE n.nspname = 'bailiwick' AND c.relispartition AND a.grantee <> c.relowner;

-- name: strangers
-- A role that is not ours with a right on one of our tables, or on a column of it.
SELECT DISTINCT format('table bailiwick.%I is granted to %s', c.relname,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT grantee FROM aclexplode(c.relacl)
    UNION
    SELECT x.grantee FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) x WHERE t.attrelid = c.oid
) AS a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
  AND (a.grantee = 0 OR r.rolname NOT IN ('bailiwick_owner', 'bailiwick_app', 'bailiwick_ledger', 'bailiwick_control',
                                          'bailiwick_operator', 'bailiwick_auth'));

-- name: unbound_rights
-- A right on a table that no policy binds.
SELECT DISTINCT format('table bailiwick.%I lets %s %s', c.relname,
       CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type) AS violation
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE n.nspname = 'bailiwick' AND c.relkind IN ('r', 'p') AND a.grantee <> c.relowner
  AND a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE');

-- name: definer_functions
-- A function that runs with its owner's rights and is not one of the pinned look-ups.
SELECT format('function bailiwick.%I runs as %s and is not a pinned look-up', p.proname, r.rolname) AS violation
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_roles r ON r.oid = p.proowner
WHERE n.nspname = 'bailiwick' AND p.prosecdef
  AND (r.rolname <> 'bailiwick_auth'
       OR NOT coalesce('search_path=pg_catalog' = ANY (p.proconfig), false)
       OR p.proacl IS NULL
       OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0));
