-- Tool servers that speak the Model Context Protocol, each of one project.

-- `credential` is the value of the header that a server knows us by, sealed for its row; `tools` as
-- `domain/tools.py` reads it.
CREATE TABLE mcp_servers (
    id                uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL,
    project_id        uuid NOT NULL,
    name              text COLLATE "C" NOT NULL,
    url               text NOT NULL,
    credential_header text NOT NULL,
    credential        bytea,
    enabled           boolean NOT NULL,
    tools             jsonb,
    created_at        timestamptz NOT NULL,
    created_by        text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (tenant_id, project_id, name)
);

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON mcp_servers
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

ALTER TABLE mcp_servers ENABLE ROW LEVEL SECURITY;
ALTER TABLE mcp_servers FORCE ROW LEVEL SECURITY;
CREATE POLICY app_own ON mcp_servers FOR SELECT TO bailiwick_app
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY control_own ON mcp_servers TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON mcp_servers TO bailiwick_operator USING (true) WITH CHECK (true);
CREATE POLICY owner_rotates ON mcp_servers TO bailiwick_owner USING (true) WITH CHECK (true);

GRANT SELECT ON mcp_servers TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON mcp_servers TO bailiwick_control, bailiwick_operator;
