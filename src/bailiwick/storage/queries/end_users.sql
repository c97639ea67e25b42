-- name: list_users
-- A page of a project's end users, from the last seen to the first. Those of the calls that are not rolled up yet are
-- looked at one and all, since each may stand elsewhere than the roll-up has it.
WITH lately AS (
    SELECT e.uid, greatest(max(e.opened_at), (SELECT u.seen_at FROM bailiwick.end_users u
                                              WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s
                                                AND u.uid = e.uid)) AS seen_at
    FROM bailiwick.usage_events e
    WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s AND e.xid >= %(xid)s
      AND e.uid <> '' AND e.uid ^@ %(prefix)s::text
    GROUP BY e.uid
), page AS (
    SELECT uid, max(seen_at) AS seen_at
    FROM (
        (SELECT u.uid, u.seen_at FROM bailiwick.end_users u
         WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid ^@ %(prefix)s::text
           AND (u.seen_at, u.uid) < (%(after_at)s::timestamptz, %(after_uid)s::text)
           AND (NOT %(blocked)s::boolean
                OR EXISTS (SELECT FROM bailiwick.blocked_users b
                           WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = u.uid
                             AND b.blocked))
         ORDER BY u.seen_at DESC, u.uid DESC LIMIT %(limit)s + (SELECT count(*) FROM lately))
        UNION ALL
        SELECT uid, seen_at FROM lately
    ) AS found
    GROUP BY uid
)
SELECT p.uid, p.seen_at, b.changed_at AS blocked_at, b.changed_by AS blocked_by
FROM page p
LEFT JOIN bailiwick.blocked_users b
       ON b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = p.uid AND b.blocked
WHERE (p.seen_at, p.uid) < (%(after_at)s::timestamptz, %(after_uid)s::text)
  AND (NOT %(blocked)s::boolean OR b.uid IS NOT NULL)
ORDER BY p.seen_at DESC, p.uid DESC
LIMIT %(limit)s;

-- name: find_user
-- One end user of a project, whoever it is: when last seen, and whether blocked.
SELECT greatest((SELECT u.seen_at FROM bailiwick.end_users u
                 WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = %(uid)s),
                (SELECT max(e.opened_at) FROM bailiwick.usage_events e
                 WHERE e.tenant_id = %(tenant)s AND e.project_id = %(project)s AND e.xid >= %(xid)s
                   AND e.uid = %(uid)s)) AS seen_at,
       b.changed_at AS blocked_at, b.changed_by AS blocked_by
FROM (SELECT) AS one
LEFT JOIN bailiwick.blocked_users b
       ON b.tenant_id = %(tenant)s AND b.project_id = %(project)s AND b.uid = %(uid)s AND b.blocked;

-- name: lock_blocked
-- Whether an end user is blocked, as it is and stays until the end of the transaction.
SELECT blocked, changed_at, changed_by FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s
FOR UPDATE;

-- name: count_blocked
-- How many end users of a project are blocked.
SELECT count(*) AS blocked FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND blocked;

-- name: set_blocked
-- Block an end user, or let them in again.
INSERT INTO bailiwick.blocked_users (tenant_id, project_id, uid, blocked, changed_at, changed_by)
VALUES (%(tenant)s, %(project)s, %(uid)s, %(blocked)s, %(at)s, %(by)s)
ON CONFLICT (tenant_id, project_id, uid)
DO UPDATE SET blocked = excluded.blocked, changed_at = excluded.changed_at, changed_by = excluded.changed_by;

-- name: add_user
-- Have an end user in the list who was never seen.
INSERT INTO bailiwick.end_users (tenant_id, project_id, uid) VALUES (%(tenant)s, %(project)s, %(uid)s)
ON CONFLICT DO NOTHING;

-- name: blocked_changes
-- Who of a project was blocked or let in again after a change; from the beginning, who is blocked, and the last change
-- whatever it was.
SELECT uid, blocked, change FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND change > %(after)s
  AND (blocked OR %(after)s > 0
       OR change = (SELECT max(b.change) FROM bailiwick.blocked_users b
                    WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s))
ORDER BY change;
