-- name: append_entry
-- Write what an act did, in the act's own transaction.
INSERT INTO bailiwick.audit (id, tenant_id, at, actor, actor_name, ip, action, target, detail, request_id)
VALUES (%(id)s, %(tenant)s, %(at)s, %(actor)s, %(actor_name)s, %(ip)s, %(action)s, %(target)s, %(detail)s,
        %(request_id)s);
