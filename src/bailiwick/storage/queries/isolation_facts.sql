-- What stands in the schema, as the lines of `migrations/isolation.txt`: `fact` is what is compared, `told` how it is said.
-- Every PostgreSQL from 15 on says the same of the same schema.

-- name: things
-- Whatever stands in the schema, and whatever takes in rows of its tables: whose it is, and whether it keeps rows apart.
SELECT CASE WHEN is_partition THEN 'each partition of bailiwick.ledger' ELSE name END || state AS fact,
       name || state AS told
FROM (
    SELECT c.relispartition AND c.relnamespace = n.oid AND EXISTS (
               SELECT FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
               WHERE h.inhrelid = c.oid AND p.relnamespace = n.oid AND p.relname = 'ledger') AS is_partition,
           concat_ws(' ', i.type, i.identity) AS name,
           ': ' || concat_ws(', ',
               'owned by ' || coalesce(s.nspowner, c.relowner, f.proowner)::regrole,
               CASE WHEN c.relrowsecurity AND c.relforcerowsecurity THEN 'row-level security forced'
                    WHEN c.relrowsecurity THEN 'row-level security not forced'
                    WHEN c.oid IS NOT NULL THEN 'row-level security switched off' END,
               CASE WHEN f.prosecdef THEN 'runs as its owner' WHEN f.oid IS NOT NULL THEN 'runs as its caller' END,
               array_to_string(f.proconfig, ', '),
               'body ' || left(encode(sha256(convert_to(f.prosrc, 'UTF8')), 'hex'), 16),
               CASE WHEN s.oid IS NULL AND c.oid IS NULL AND f.oid IS NULL THEN 'is there' END) AS state
    FROM pg_namespace n
    CROSS JOIN LATERAL (
        SELECT 'pg_namespace'::regclass AS classid, n.oid AS objid
        UNION
        SELECT d.classid, d.objid FROM pg_depend d
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = n.oid AND d.classid <> 'pg_default_acl'::regclass
        UNION
        SELECT 'pg_class'::regclass, h.inhrelid FROM pg_class p JOIN pg_inherits h ON h.inhparent = p.oid
        WHERE p.relnamespace = n.oid AND p.relkind IN ('r', 'p')
    ) AS o
    CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, 0) AS i
    LEFT JOIN pg_namespace s ON o.classid = 'pg_namespace'::regclass AND s.oid = o.objid
    LEFT JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    LEFT JOIN pg_proc f ON o.classid = 'pg_proc'::regclass AND f.oid = o.objid
    WHERE n.nspname = 'bailiwick'
) AS found;

-- name: rights
-- What anybody but an owner may do: with the schema, a table, a column, a function, and with what is yet to be made.
WITH guarded (classid, objid, part, owner, acl) AS (
    SELECT 'pg_namespace'::regclass, oid, 0, nspowner, nspacl FROM pg_namespace WHERE nspname = 'bailiwick'
    UNION ALL
    SELECT 'pg_class'::regclass, oid, 0, relowner, relacl
    FROM pg_class WHERE relnamespace = to_regnamespace('bailiwick')
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, a.attnum, c.relowner, a.attacl
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relnamespace = to_regnamespace('bailiwick')
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, 0, proowner, coalesce(proacl, acldefault('f', proowner))
    FROM pg_proc WHERE pronamespace = to_regnamespace('bailiwick')
    UNION ALL
    SELECT 'pg_default_acl'::regclass, oid, 0, defaclrole, defaclacl
    FROM pg_default_acl
    WHERE defaclnamespace = to_regnamespace('bailiwick') OR starts_with(pg_get_userbyid(defaclrole), 'bailiwick_')
)
SELECT fact, fact AS told
FROM guarded
CROSS JOIN LATERAL aclexplode(acl) AS a
CROSS JOIN LATERAL pg_identify_object(classid, objid, part) AS i
CROSS JOIN LATERAL format('%s %s: %s may %s%s', i.type, i.identity,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, a.privilege_type,
    CASE WHEN a.is_grantable THEN ' and grant it on' END) AS fact
WHERE a.grantee <> owner;

-- name: policies
-- Who sees which row.
SELECT fact, fact AS told
FROM pg_policies
CROSS JOIN (VALUES ('( SELECT (current_setting(''bailiwick.tenant_id''::text))::uuid AS current_setting)')) AS s (own)
CROSS JOIN LATERAL format('table %I.%I: policy %I for %s to %s%s%s%s', schemaname, tablename, policyname, cmd,
    array_to_string(roles, ', '), ' using ' || replace(qual, own, 'the tenant in scope'),
    ' with check ' || replace(with_check, own, 'the tenant in scope'),
    CASE WHEN permissive <> 'PERMISSIVE' THEN ', restrictive' END) AS fact
WHERE schemaname = 'bailiwick';

-- name: triggers
-- What else happens when a row is written.
SELECT fact, fact AS told
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
CROSS JOIN LATERAL format('table %s: %s%s', c.oid::regclass, pg_get_triggerdef(t.oid),
    CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ', disabled' ELSE ', not in every session' END) AS fact
WHERE c.relnamespace = to_regnamespace('bailiwick') AND NOT t.tgisinternal;
