-- Members: the people, by issuer and subject, who may enter a tenant with a token of the platform's.

-- `issuer` is compared byte for byte; the empty one is this installation itself, whatever its address is.
CREATE TABLE members (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    issuer     text COLLATE "C" NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    role       text COLLATE "C" NOT NULL,
    scopes     text[],
    tier       text,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    UNIQUE (tenant_id, subject, issuer)
);
CREATE INDEX members_of_tenant ON members (tenant_id, id);

CREATE TRIGGER move_epoch AFTER INSERT OR DELETE OR UPDATE ON members
    FOR EACH STATEMENT EXECUTE FUNCTION move_epoch();

ALTER TABLE members ENABLE ROW LEVEL SECURITY;
ALTER TABLE members FORCE ROW LEVEL SECURITY;
CREATE POLICY control_own ON members TO bailiwick_control
    USING (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid))
    WITH CHECK (tenant_id = (SELECT current_setting('bailiwick.tenant_id')::uuid));
CREATE POLICY operator_all ON members TO bailiwick_operator USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON members TO bailiwick_control, bailiwick_operator;
