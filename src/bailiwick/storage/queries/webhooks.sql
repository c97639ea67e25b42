-- name: find_webhook
-- One webhook of a tenant; never its secrets.
SELECT id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by
FROM bailiwick.webhooks
WHERE tenant_id = %(tenant)s AND id = %(webhook)s;

-- name: lock_webhook
-- One webhook of a tenant, kept as it is until the end of the transaction.
SELECT id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by
FROM bailiwick.webhooks
WHERE tenant_id = %(tenant)s AND id = %(webhook)s
FOR NO KEY UPDATE;

-- name: list_webhooks
-- The webhooks of a tenant, in the order of their ids.
SELECT id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by
FROM bailiwick.webhooks
WHERE tenant_id = %(tenant)s AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
ORDER BY id
LIMIT %(limit)s;

-- name: count_webhooks
-- How many webhooks a tenant has.
SELECT count(*) AS webhooks FROM bailiwick.webhooks WHERE tenant_id = %(tenant)s;

-- name: add_webhook
-- Add a webhook to a tenant.
INSERT INTO bailiwick.webhooks (id, tenant_id, name, url, events, status, secret, created_at, created_by)
VALUES (%(webhook)s, %(tenant)s, %(name)s, %(url)s, %(events)s, %(status)s, %(secret)s, %(created_at)s, %(created_by)s)
RETURNING id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by;

-- name: change_webhook
-- Change what can be changed of a webhook.
UPDATE bailiwick.webhooks SET name = %(name)s, url = %(url)s, events = %(events)s, status = %(status)s
WHERE tenant_id = %(tenant)s AND id = %(webhook)s
RETURNING id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by;

-- name: rotate_webhook
-- Give a webhook another secret; the one before signs too until a moment.
UPDATE bailiwick.webhooks
SET old_secret = CASE WHEN %(until)s::timestamptz IS NOT NULL THEN secret END, old_secret_until = %(until)s::timestamptz,
    secret = %(secret)s
WHERE tenant_id = %(tenant)s AND id = %(webhook)s
RETURNING id, tenant_id, name, url, events, status, old_secret_until, failing_since, created_at, created_by;

-- name: remove_webhook
-- Remove a webhook, and what was and is to be told there.
DELETE FROM bailiwick.webhooks WHERE tenant_id = %(tenant)s AND id = %(webhook)s;

-- name: webhook_with_deliveries
-- One webhook with what was and is to be told there, the latest first; a row without any if there is nothing.
SELECT w.id, w.tenant_id, w.name, w.url, w.events, w.status, w.old_secret_until, w.failing_since, w.created_at,
       w.created_by, d.id AS d_id, d.tenant_id AS d_tenant_id, d.webhook_id AS d_webhook_id, d.event_id AS d_event_id,
       d.event AS d_event, d.status AS d_status, d.attempts AS d_attempts, d.next_attempt_at AS d_next_attempt_at,
       d.last_attempt_at AS d_last_attempt_at, d.last_status AS d_last_status, d.last_error AS d_last_error,
       d.created_at AS d_created_at
FROM bailiwick.webhooks w
LEFT JOIN LATERAL (
    SELECT p.id, p.tenant_id, p.webhook_id, p.event_id, p.event, p.status, p.attempts, p.next_attempt_at,
           p.last_attempt_at, p.last_status, p.last_error, p.created_at
    FROM bailiwick.webhook_deliveries p
    WHERE p.tenant_id = w.tenant_id AND p.webhook_id = w.id AND (%(after)s::uuid IS NULL OR p.id < %(after)s::uuid)
    ORDER BY p.id DESC
    LIMIT %(limit)s) d ON true
WHERE w.tenant_id = %(tenant)s AND w.id = %(webhook)s
ORDER BY d.id DESC;

-- name: find_delivery
-- One event at a webhook.
SELECT id, tenant_id, webhook_id, event_id, event, status, attempts, next_attempt_at, last_attempt_at, last_status,
       last_error, created_at
FROM bailiwick.webhook_deliveries
WHERE tenant_id = %(tenant)s AND webhook_id = %(webhook)s AND id = %(delivery)s;

-- name: deliver_again
-- Have an event delivered again from now on, whatever became of it.
UPDATE bailiwick.webhook_deliveries SET status = 'pending', attempts = 0, next_attempt_at = %(now)s
WHERE tenant_id = %(tenant)s AND webhook_id = %(webhook)s AND id = %(delivery)s
RETURNING id, tenant_id, webhook_id, event_id, event, status, attempts, next_attempt_at, last_attempt_at, last_status,
          last_error, created_at;
