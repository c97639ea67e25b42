-- name: subscribers
-- Who of some tenants has itself told of an event, kept there until the end of the transaction.
SELECT tenant_id, id FROM bailiwick.webhooks
WHERE tenant_id = ANY (%(tenants)s) AND %(event)s = ANY (events)
ORDER BY id
FOR KEY SHARE;

-- name: add_delivery
-- Have an event told at a webhook; once, however often it happens.
INSERT INTO bailiwick.webhook_deliveries (id, tenant_id, webhook_id, event_id, event, body, next_attempt_at, created_at)
VALUES (%(delivery)s, %(tenant)s, %(webhook)s, %(event_id)s, %(event)s, %(body)s, %(now)s, %(now)s)
ON CONFLICT DO NOTHING;

-- name: claim
-- Take some webhooks where something is to be told now: until a moment they are ours. Who waits longest comes first.
WITH due AS MATERIALIZED (
    SELECT w.id
    FROM bailiwick.webhooks w
    CROSS JOIN LATERAL (
        SELECT d.next_attempt_at FROM bailiwick.webhook_deliveries d
        WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id AND d.status = 'pending'
          AND d.next_attempt_at <= %(now)s
        ORDER BY d.next_attempt_at
        LIMIT 1) d
    WHERE w.status = 'active' AND w.leased_until <= %(now)s
    ORDER BY d.next_attempt_at
    LIMIT %(most)s
    FOR NO KEY UPDATE OF w SKIP LOCKED
)
UPDATE bailiwick.webhooks w SET leased_until = %(until)s
FROM due
WHERE w.id = due.id
RETURNING w.id;

-- name: next_deliveries
-- What waits longest at each of these webhooks: a statement of its own, so that it sees what others delivered before.
SELECT w.tenant_id, w.id AS webhook_id, w.url, w.secret, w.old_secret, w.old_secret_until, d.id, d.event_id, d.event,
       d.body, d.attempts
FROM bailiwick.webhooks w
LEFT JOIN LATERAL (
    SELECT d.id, d.event_id, d.event, d.body, d.attempts FROM bailiwick.webhook_deliveries d
    WHERE d.tenant_id = w.tenant_id AND d.webhook_id = w.id AND d.status = 'pending' AND d.next_attempt_at <= %(now)s
    ORDER BY d.next_attempt_at
    LIMIT 1) d ON true
WHERE w.id = ANY (%(webhooks)s);

-- name: finish
-- Write down what an attempt came to, unless somebody else did, or it is to be delivered anew.
UPDATE bailiwick.webhook_deliveries
SET status = %(status)s, attempts = attempts + 1, next_attempt_at = %(next)s, last_attempt_at = %(now)s,
    last_status = %(last_status)s, last_error = %(last_error)s
WHERE tenant_id = %(tenant)s AND id = %(delivery)s AND status = 'pending' AND attempts = %(attempts)s;

-- name: release
-- Let others deliver at a webhook, unless they do already.
UPDATE bailiwick.webhooks SET leased_until = 'epoch' WHERE id = %(webhook)s AND leased_until = %(until)s;

-- name: note_delivered
-- A webhook that takes an event does not fail any more.
UPDATE bailiwick.webhooks SET failing_since = NULL WHERE id = %(webhook)s AND failing_since IS NOT NULL;

-- name: note_failing
-- An event was given up at a webhook; a row if it did not fail before.
UPDATE bailiwick.webhooks SET failing_since = %(now)s WHERE id = %(webhook)s AND failing_since IS NULL RETURNING id;

-- name: pause
-- A webhook said that it is gone; a row if it was not paused before.
UPDATE bailiwick.webhooks SET status = 'paused' WHERE id = %(webhook)s AND status = 'active' RETURNING id;

-- name: forget
-- Remove what is so old that nobody asks for it.
DELETE FROM bailiwick.webhook_deliveries d
USING (SELECT id FROM bailiwick.webhook_deliveries WHERE created_at < %(before)s ORDER BY created_at LIMIT %(most)s) old
WHERE d.id = old.id;
