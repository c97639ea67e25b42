-- Agents: named configurations of a project, each with every version that it had.

CREATE TABLE agents (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    project_id uuid NOT NULL,
    name       text COLLATE "C" NOT NULL,
    model      text NOT NULL,
    enabled    boolean NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (tenant_id, project_id, name),
    UNIQUE (tenant_id, id)
);

-- A version is added and never changed. `spec` is as `AgentSpec.written` in `domain/agents.py` writes it: json and not
-- jsonb, since the order of a schema's properties is the order in which a model answers.
CREATE TABLE agent_versions (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    agent_id   uuid NOT NULL,
    version    integer NOT NULL,
    spec       json NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    FOREIGN KEY (tenant_id, agent_id) REFERENCES agents (tenant_id, id) ON DELETE CASCADE,
    UNIQUE (tenant_id, agent_id, version)
);

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON agents
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

DO $$
DECLARE
    t text;
    own constant text := '(SELECT current_setting(''bailiwick.tenant_id'')::uuid)';
BEGIN
    FOREACH t IN ARRAY ARRAY['agents', 'agent_versions'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY app_own ON %I FOR SELECT TO bailiwick_app USING (tenant_id = %s)', t, own);
        EXECUTE format('CREATE POLICY control_own ON %I TO bailiwick_control USING (tenant_id = %s) '
                       'WITH CHECK (tenant_id = %s)', t, own, own);
        EXECUTE format('CREATE POLICY operator_all ON %I TO bailiwick_operator USING (true) WITH CHECK (true)', t);
    END LOOP;
END $$;

GRANT SELECT ON agents, agent_versions TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON agents TO bailiwick_control, bailiwick_operator;
GRANT SELECT, INSERT ON agent_versions TO bailiwick_control, bailiwick_operator;

-- Which agent a call was made as, and which version of it; NULL for none. They outlive the agent.
ALTER TABLE open_calls ADD COLUMN agent_id uuid, ADD COLUMN agent_version integer;
ALTER TABLE ledger ADD COLUMN agent_id uuid, ADD COLUMN agent_version integer;
