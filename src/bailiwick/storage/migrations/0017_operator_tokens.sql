-- Tokens that were minted with an operator key end with it: every process keeps in memory whether it lives.

CREATE TRIGGER move_epoch AFTER DELETE OR UPDATE ON operator_keys
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

GRANT CREATE ON SCHEMA bailiwick TO bailiwick_auth;
SET LOCAL ROLE bailiwick_auth;

-- Of an operator key, whose operator it is and when it ends; nothing that it could be used by.
CREATE FUNCTION look_up_operator_end(wanted uuid)
RETURNS TABLE (tenant_id uuid, expires_at timestamptz, revoked_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog ROWS 1 AS $$
    SELECT o.tenant_id, o.expires_at, o.revoked_at FROM bailiwick.operator_keys o WHERE o.id = wanted
$$;
REVOKE ALL ON FUNCTION look_up_operator_end(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_up_operator_end(uuid) TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
REVOKE CREATE ON SCHEMA bailiwick FROM bailiwick_auth;
