-- What is wrong wherever it is found, in sentences. What stands in the schema is held against a list instead:
-- `migrations/isolation.txt`, read by `isolation_facts.sql`.

-- name: privileged_roles
-- A role of ours that policies do not bind, that could make one, or that may copy the whole server.
SELECT format('role %s has %s', rolname, concat_ws(' and ',
       CASE WHEN rolsuper THEN 'SUPERUSER' END,
       CASE WHEN rolbypassrls THEN 'BYPASSRLS' END,
       CASE WHEN rolcreaterole THEN 'CREATEROLE' END,
       CASE WHEN rolreplication THEN 'REPLICATION' END)) AS violation
FROM pg_roles
WHERE starts_with(rolname, 'bailiwick_') AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolreplication);

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

-- name: owned_elsewhere
-- What belongs to a role that should own nothing, outside the schema.
SELECT format('role %s owns %s %s', r.rolname, i.type, i.identity) AS violation
FROM pg_shdepend d
JOIN pg_roles r ON r.oid = d.refobjid
CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS i
WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
  AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND r.rolname IN ('bailiwick_app', 'bailiwick_ledger', 'bailiwick_control', 'bailiwick_operator', 'bailiwick_auth')
  AND i.schema IS DISTINCT FROM 'bailiwick';

-- name: fixed_settings
-- A tenant that is in scope before anybody opened a scope, or a role that a login begins as.
SELECT format('%s is set for %s', setting, coalesce('role ' || r.rolname, 'every role')) AS violation
FROM pg_db_role_setting s
CROSS JOIN LATERAL unnest(s.setconfig) AS setting
LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR starts_with(r.rolname, 'bailiwick_'))
  AND lower(setting) ~ '^(bailiwick\.|role=)';

-- name: owners_eyes
-- A view or rule, wherever it stands, that reads or writes our tables with its owner's rights.
SELECT DISTINCT format('%s %s uses bailiwick.%I with its owner''s rights%s', i.type, i.identity, t.relname,
       CASE v.relkind WHEN 'v' THEN ': it is not security_invoker' END) AS violation
FROM pg_class t
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite w ON w.oid = d.objid
JOIN pg_class v ON v.oid = w.ev_class
CROSS JOIN LATERAL pg_identify_object('pg_rewrite'::regclass, w.oid, 0) AS i
WHERE t.relnamespace = to_regnamespace('bailiwick') AND t.relkind IN ('r', 'p')
  AND NOT (v.relkind = 'v' AND EXISTS (
      SELECT FROM pg_options_to_table(v.reloptions) WHERE option_name = 'security_invoker' AND option_value::boolean));
