-- name: claim
-- Say that something is done once, in the act's own transaction; waits for another one that says it, no row if it did.
INSERT INTO bailiwick.idempotency (operator, route, key, tenant_id, digest, request_id, created_at)
VALUES (%(operator)s, %(route)s, %(key)s, %(tenant)s, %(digest)s, %(request_id)s, %(created_at)s)
ON CONFLICT (operator, route, key) DO NOTHING;

-- name: find_done
-- What was done under a key.
SELECT digest, request_id, status, location, etag, answer
FROM bailiwick.idempotency
WHERE operator = %(operator)s AND route = %(route)s AND key = %(key)s;

-- name: keep_answer
-- Keep the answer of a request: of what it did, or, if there was nothing to do, of that.
INSERT INTO bailiwick.idempotency AS done
    (operator, route, key, tenant_id, digest, request_id, created_at, status, location, etag, answer)
VALUES (%(operator)s, %(route)s, %(key)s, %(tenant)s, %(digest)s, %(request_id)s, %(created_at)s, %(status)s,
        %(location)s, %(etag)s, %(answer)s)
ON CONFLICT (operator, route, key) DO UPDATE
    SET status = EXCLUDED.status, location = EXCLUDED.location, etag = EXCLUDED.etag, answer = EXCLUDED.answer
    WHERE done.request_id = EXCLUDED.request_id;

-- name: forget_done
-- Remove what was kept for long enough.
DELETE FROM bailiwick.idempotency WHERE created_at <= %(before)s;
