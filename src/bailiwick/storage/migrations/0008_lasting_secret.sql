-- What a rotation of the master key keeps, and what it must be able to reach.
--
-- `sealed` is the secret from which the peppers of keys follow, sealed with the master key. Only the owner's login, which
-- stays with the parent process, can read it.
CREATE TABLE lasting_secret (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sealed   bytea NOT NULL
);

-- Everything that is sealed or signed is made anew in one transaction, by the owner, who sees no row otherwise.
CREATE POLICY owner_rotates ON providers TO bailiwick_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_rotates ON operator_secrets TO bailiwick_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_rotates ON audit_heads TO bailiwick_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_rotates ON audit FOR INSERT TO bailiwick_owner WITH CHECK (tenant_id IS NULL);
