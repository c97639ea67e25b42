-- name: look_up_session
-- One session, and whose it is, by a digest of what its browser holds.
SELECT session_id, method, ip, user_agent, opened_at, seen_at, expires_at,
       id, tenant_id, email, name, role, status, created_at, created_by
FROM bailiwick.look_up_session(%(digest)s);

-- name: look_up_visit
-- One session as `look_up_session` finds it, and, in the same look-up, which tenant an id of its page belongs to.
SELECT s.session_id, s.method, s.ip, s.user_agent, s.opened_at, s.seen_at, s.expires_at,
       s.id, s.tenant_id, s.email, s.name, s.role, s.status, s.created_at, s.created_by,
       bailiwick.tenant_of(%(kind)s, %(about)s) AS about
FROM bailiwick.look_up_session(%(digest)s) s;

-- name: add_session
-- Open a session.
INSERT INTO bailiwick.sessions
    (id, tenant_id, operator_id, digest, method, ip, user_agent, opened_at, seen_at, expires_at)
VALUES (%(id)s, %(tenant)s, %(operator)s, %(digest)s, %(method)s, %(ip)s, %(user_agent)s, %(at)s, %(at)s,
        %(expires_at)s);

-- name: touch_session
-- Note that a session is used.
UPDATE bailiwick.sessions SET seen_at = %(at)s
WHERE id = %(session)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s AND seen_at < %(at)s;

-- name: list_sessions
-- A page of the open sessions of a person, or of everybody within the tenant or the installation.
SELECT s.id AS session_id, s.method, s.ip, s.user_agent, s.opened_at, s.seen_at, s.expires_at,
       o.id, o.tenant_id, o.email, o.name, o.role, o.status, o.created_at, o.created_by
FROM bailiwick.sessions s JOIN bailiwick.operators o ON o.id = s.operator_id
WHERE (%(everywhere)s OR s.tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid)
  AND (%(operator)s::uuid IS NULL OR s.operator_id = %(operator)s::uuid)
  AND (%(after)s::uuid IS NULL OR s.id > %(after)s::uuid)
  AND s.expires_at > %(at)s AND s.seen_at > %(unused_since)s AND o.status = 'active'
ORDER BY s.id LIMIT %(limit)s;

-- name: end_session
-- End a session; returns whose it was.
DELETE FROM bailiwick.sessions
WHERE id = %(session)s AND (%(everywhere)s OR tenant_id IS NOT DISTINCT FROM %(tenant)s::uuid)
  AND (%(operator)s::uuid IS NULL OR operator_id = %(operator)s::uuid)
RETURNING tenant_id, operator_id;

-- name: end_sessions
-- End every session of a person, but one that may be kept.
DELETE FROM bailiwick.sessions
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s
  AND (%(but)s::uuid IS NULL OR id <> %(but)s::uuid);

-- name: forget_sessions
-- Forget the sessions of a person that are over.
DELETE FROM bailiwick.sessions
WHERE operator_id = %(operator)s AND tenant_id IS NOT DISTINCT FROM %(tenant)s
  AND (expires_at <= %(at)s OR seen_at <= %(unused_since)s);
