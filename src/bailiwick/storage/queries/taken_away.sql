-- name: changes
-- What a project took away or gave back after a change; from the beginning, what is taken away, and the last change
-- whatever it was. No token lives for longer than a week, so what was revoked before that holds nothing up any more.
SELECT NULL AS kind, uid AS value, blocked AS holds, changed_at AS at, change FROM bailiwick.blocked_users
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND change > %(after)s
  AND (blocked OR %(after)s > 0
       OR change = (SELECT max(b.change) FROM bailiwick.blocked_users b
                    WHERE b.tenant_id = %(tenant)s AND b.project_id = %(project)s))
UNION ALL
SELECT kind, value, true, revoked_at, change FROM bailiwick.revocations
WHERE tenant_id = %(tenant)s AND project_id = %(project)s AND change > %(after)s
  AND revoked_at > now() - interval '8 days'
ORDER BY change;

-- name: revoke_token
-- Take a token away that a key minted; true once it is, nothing if the key has ended or the project has done too many.
SELECT bailiwick.revoke_token(%(key)s, %(jti)s) AS done;

-- name: log_out
-- End what an issuer says has ended there, as of a moment; true once it is, also if it was before.
SELECT bailiwick.log_out(%(issuer)s, %(kind)s, %(value)s, %(at)s) AS done;
