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

-- name: list_deliveries
-- What was and is to be told at a webhook, the latest first.
SELECT id, tenant_id, webhook_id, event_id, event, status, attempts, next_attempt_at, last_attempt_at, last_status,
       last_error, created_at
FROM bailiwick.webhook_deliveries
WHERE tenant_id = %(tenant)s AND webhook_id = %(webhook)s AND (%(after)s::uuid IS NULL OR id < %(after)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s;

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
