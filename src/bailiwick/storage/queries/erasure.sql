-- name: hold_roll_up
-- Until the transaction ends nothing is rolled up: what is being counted would come back under the old name.
SELECT pg_advisory_xact_lock(x'726f6c6c'::bigint);

-- name: erase_open
-- What settles later takes its user from here.
UPDATE bailiwick.open_calls SET uid = %(pseudonym)s, sid = NULL
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s;

-- name: erase_settled
-- Only in hours in which the user called, or what is not rolled up yet; returns how many calls there were.
WITH hours AS MATERIALIZED (
    SELECT DISTINCT u.hour FROM bailiwick.usage_hourly_of_users u
    WHERE u.tenant_id = %(tenant)s AND u.project_id = %(project)s AND u.uid = %(uid)s
), theirs AS (
    SELECT l.opened_at, l.id
    FROM hours h JOIN bailiwick.ledger l
      ON l.tenant_id = %(tenant)s AND l.project_id = %(project)s
     AND l.opened_at >= h.hour AND l.opened_at < h.hour + interval '1 hour' AND l.uid = %(uid)s
    UNION
    SELECT l.opened_at, l.id
    FROM bailiwick.ledger l
    WHERE l.tenant_id = %(tenant)s AND l.project_id = %(project)s AND l.uid = %(uid)s
      AND l.written_xid >= (SELECT w.xid FROM bailiwick.usage_watermark w)
), erased AS (
    UPDATE bailiwick.ledger l SET uid = %(pseudonym)s, sid = NULL
    FROM theirs t
    WHERE l.tenant_id = %(tenant)s AND l.project_id = %(project)s AND l.opened_at = t.opened_at AND l.id = t.id
    RETURNING l.id
)
SELECT count(*) AS calls FROM erased;

-- name: erase_counted
-- All else that names a user; nothing needs to say when an erased one was last seen, or why they were refused.
WITH corrections AS (
    UPDATE bailiwick.ledger_corrections SET uid = %(pseudonym)s
    WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s
), hours AS (
    UPDATE bailiwick.usage_hourly_of_users SET uid = %(pseudonym)s
    WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s
), slices AS (
    -- A session's name goes with its user's; what is left tells its slices apart.
    UPDATE bailiwick.budget_slices
    SET subject = CASE subject WHEN %(user)s THEN %(user_after)s ELSE %(sessions_after)s || id END
    WHERE tenant_id = %(tenant)s AND (subject = %(user)s OR starts_with(subject, %(sessions)s))
), refused AS (
    DELETE FROM bailiwick.refused_calls
    WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s
)
DELETE FROM bailiwick.end_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND uid = %(uid)s;

-- name: erase_told
-- What webhooks were and are to be told, where a user follows their project, as `event_body` writes it.
UPDATE bailiwick.webhook_deliveries SET body = replace(body, %(named)s, %(named_after)s)
WHERE tenant_id = %(tenant)s AND event = 'usage.hour' AND position(%(named)s in body) > 0;

-- name: erase_warned
-- What webhooks were and are to be told of budgets of theirs, whose sessions' names go with them.
UPDATE bailiwick.webhook_deliveries
SET body = (body::jsonb || jsonb_build_object('data', body::jsonb -> 'data' || jsonb_build_object(
                'user_id', %(pseudonym)s::text, 'session_id', NULL)))::text
WHERE tenant_id = %(tenant)s AND event = 'budget.warning' AND position(%(named)s in body) > 0;
