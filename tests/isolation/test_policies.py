"""The database's own rules keep tenants apart: every table, every verb, every role that works within a tenant.

No query of ours takes part: with the filters of our code gone, the policies alone must still hold. Each of these
tests is also shown to fail where the rules are switched off.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from bailiwick.storage import roles
from tests.database import Connection, TestDatabase
from tests.isolation.catalogue import MONTHS_AHEAD, VERBS, Owner, new_id, seeded, tenant_tables
from tests.isolation.probe import reached, taken_along

ROLES = (roles.APP, roles.CONTROL)
# What the schema has today, so that a catalogue query that finds nothing cannot pass for isolation.
TABLES = {
    "tenants", "projects", "api_keys", "providers", "operator_keys", "operators", "operator_secrets", "sessions",
    "sign_in_links", "operator_identities", "idempotency", "audit", "open_calls", "ledger", "ledger_default",
    "ledger_corrections", "usage_hourly", "usage_daily", "usage_hourly_of_users", "end_users", "blocked_users",
    "key_uses", "tiers", "issuers", "agents", "agent_versions", "members", "mcp_servers", "revocations",
    "roles", "removed_roles", "budgets",
    "refused_calls", "usage_refusals", "refused_crossings",
    "budget_slices", "budget_events", "price_versions",
    "webhooks", "webhook_deliveries", "usage_hours",
}  # fmt: skip
# What a rotation of the master key, which is the owner's, seals and signs anew.
ROTATED = {"providers", "mcp_servers", "webhooks", "operator_secrets", "audit_heads"}
UNSET = (psycopg.errors.UndefinedObject, psycopg.errors.InvalidTextRepresentation, psycopg.errors.InsufficientPrivilege)


@pytest.fixture(scope="module")
def owners(database: TestDatabase) -> tuple[Owner, Owner]:
    """Two tenants with rows everywhere."""
    return seeded(database)


@pytest.fixture(scope="module")
def superuser(database: TestDatabase) -> Iterator[Connection]:
    with database.connect() as connection:
        yield connection


@pytest.fixture(scope="module", params=ROLES)
def role(request: pytest.FixtureRequest, database: TestDatabase) -> Iterator[Connection]:
    with database.connect(request.param) as connection:
        yield connection


def test_the_catalogue_knows_every_table_with_a_tenant(superuser: Connection) -> None:
    assert set(tenant_tables(superuser)) >= TABLES


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_reaches_another_tenants_rows_in_any_table(
    role: Connection, superuser: Connection, owners: tuple[Owner, Owner], verb: str
) -> None:
    found = {
        table: reached(role, superuser, table, column, verb, owners)
        for table, column in tenant_tables(superuser).items()
    }
    assert {table: count for table, count in found.items() if count} == {}
    if verb == "INSERT":
        # Nothing was taken in silently.
        assert set(found.values()) == {None}


def test_no_row_can_be_given_to_another_tenant(
    role: Connection, superuser: Connection, owners: tuple[Owner, Owner]
) -> None:
    given = {table: taken_along(role, table, column, owners) for table, column in tenant_tables(superuser).items()}
    assert {table: count for table, count in given.items() if count} == {}


def test_a_tenant_sees_its_own_rows(role: Connection, owners: tuple[Owner, Owner]) -> None:
    own = owners[0].tenant_id
    with role.transaction(force_rollback=True):
        role.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(own),))
        assert role.execute("SELECT tenant_id FROM bailiwick.projects").fetchall() == [(own,)]
        assert role.execute("SELECT count(*) FROM bailiwick.ledger").fetchone() == (MONTHS_AHEAD + 2,)


@pytest.mark.parametrize("setting", [None, ""])
def test_no_tenant_set_is_an_error_and_neither_all_nor_nothing(
    role: Connection, superuser: Connection, setting: str | None
) -> None:
    for table in tenant_tables(superuser):
        with role.transaction(force_rollback=True):
            if setting is not None:
                role.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (setting,))
            with pytest.raises(UNSET):
                role.execute(sql.SQL("SELECT * FROM bailiwick.{}").format(sql.Identifier(table)))


def test_a_setting_is_gone_with_its_transaction(role: Connection, owners: tuple[Owner, Owner]) -> None:
    with role.transaction():
        role.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(owners[0].tenant_id),))
    with pytest.raises(UNSET):
        role.execute("SELECT * FROM bailiwick.projects")


def test_the_platforms_providers_are_read_by_every_tenant_and_written_by_none(
    database: TestDatabase, owners: tuple[Owner, Owner]
) -> None:
    database.run(
        "INSERT INTO bailiwick.providers (id, name, kind, base_url, created_by)"
        " VALUES (gen_random_uuid(), 'p', 'openai', 'https://a.example', 'test')"
    )
    seen = {}
    for name in ROLES:
        with database.connect(name) as connection, connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(owners[0].tenant_id),))
            query = "SELECT count(*) FROM bailiwick.providers WHERE tenant_id IS NULL"
            seen[name] = connection.execute(query).fetchone()
            if name == roles.CONTROL:
                update = "UPDATE bailiwick.providers SET base_url = base_url WHERE tenant_id IS NULL"
                assert connection.execute(update).rowcount == 0
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(
                        "INSERT INTO bailiwick.providers (id, name, kind, base_url, created_by)"
                        " VALUES (gen_random_uuid(), 'q', 'openai', 'https://a.example', 'test')"
                    )
    assert seen == {roles.APP: (1,), roles.CONTROL: (0,)}


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
@pytest.mark.parametrize("name", roles.ALL)
def test_no_role_of_ours_but_the_owner_can_change_what_the_audit_log_says(
    superuser: Connection, name: str, verb: str
) -> None:
    query = "SELECT has_table_privilege(%s, 'bailiwick.audit', %s)"
    assert superuser.execute(query, (name, verb)).fetchone() == (name == roles.OWNER,)


@pytest.mark.parametrize("table", ["operator_keys", "operators", "idempotency", "audit", "audit_heads"])
def test_the_gateways_roles_know_nothing_of_operators(superuser: Connection, table: str) -> None:
    for name in (roles.APP, roles.LEDGER):
        query = "SELECT has_table_privilege(%s, %s, 'SELECT, INSERT, UPDATE, DELETE')"
        assert superuser.execute(query, (name, f"bailiwick.{table}")).fetchone() == (False,)


def test_within_a_tenant_nobody_can_make_or_reach_an_operator_of_the_installation(
    database: TestDatabase, owners: tuple[Owner, Owner]
) -> None:
    database.run(
        "INSERT INTO bailiwick.operator_keys (id, name, role, lookup_id, digest, created_by)"
        " VALUES (%s, 'i', 'owner', 'installation', '', 'test')",
        new_id(),
    )
    with database.connect(roles.CONTROL) as control:

        def within(statement: str, *values: object) -> int:
            with control.transaction(force_rollback=True):
                own = str(owners[0].tenant_id)
                control.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (own,))
                return control.execute(statement.encode(), values).rowcount

        for statement in (
            "SELECT FROM bailiwick.operator_keys WHERE tenant_id IS NULL",
            "UPDATE bailiwick.operator_keys SET digest = '' WHERE tenant_id IS NULL",
            "DELETE FROM bailiwick.operator_keys WHERE tenant_id IS NULL",
        ):
            assert within(statement) == 0
        for statement in (
            "UPDATE bailiwick.operator_keys SET tenant_id = NULL",
            "INSERT INTO bailiwick.operators VALUES (gen_random_uuid(), NULL, 'x', 'x', 'owner', 'active', now(), 'x')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                within(statement)


def test_the_same_probes_find_rows_where_a_tables_policies_are_switched_off(scratch: TestDatabase) -> None:
    owners = seeded(scratch)
    with scratch.connect() as superuser, scratch.connect(roles.CONTROL) as control, scratch.connect(roles.APP) as app:
        tables = tenant_tables(superuser)
        for table in tables:
            switch = sql.SQL("ALTER TABLE bailiwick.{} DISABLE ROW LEVEL SECURITY")
            superuser.execute(switch.format(sql.Identifier(table)))

        def found(connection: Connection, verb: str) -> set[str]:
            counts = {
                table: reached(connection, superuser, table, column, verb, owners) for table, column in tables.items()
            }
            return {table for table, count in counts.items() if count}

        users, refusals = {"end_users", "blocked_users"}, {"refused_calls", "usage_refusals"}
        usage = {
            "ledger", "ledger_corrections", "usage_hourly", "usage_daily", "usage_hourly_of_users", "blocked_users",
            "revocations", "budget_slices", "usage_refusals",
        }  # fmt: skip
        agents = {"agents", "agent_versions"}
        assert found(app, "SELECT") == {
            "tenants",
            "projects",
            "providers",
            "mcp_servers",
            "open_calls",
            *agents,
            *usage,
        }
        operators = {"operator_keys", "operators", "idempotency", "operator_secrets", "sessions", "sign_in_links"}
        known = {"operator_identities"}  # Added and read, and gone with their person.
        log = {"audit", "audit_heads"}
        people = {"members", "roles", "removed_roles"}
        own = {
            "projects", "api_keys", "providers", "mcp_servers", "tiers", "budgets", "issuers", "agents", "webhooks",
            *people, *operators,
        }  # fmt: skip
        assert found(control, "SELECT") == {
            *found(app, "SELECT"), "api_keys", "tiers", "budgets", "issuers", *people, *log, *operators, *known, *users,
            *refusals, "key_uses", "price_versions", "webhooks", "webhook_deliveries",
        }  # fmt: skip
        assert found(control, "INSERT") == {*own, *agents, *log, *known, *users, "revocations", "webhook_deliveries"}
        assert found(control, "UPDATE") == {"tenants", *own, "audit_heads", *users, "webhook_deliveries"}
        # With an erased end user go the calls of theirs that were refused.
        assert found(control, "DELETE") == {"tenants", *own, "end_users", "refused_calls"}


def test_the_owner_sees_rows_only_where_a_table_is_not_forced(scratch: TestDatabase) -> None:
    owners = seeded(scratch)
    with scratch.connect() as superuser:
        tables = tenant_tables(superuser)

        def found() -> set[str]:
            with scratch.connect() as owner:
                owner.execute("SET ROLE bailiwick_owner")
                counts = {
                    table: reached(owner, superuser, table, column, "SELECT", owners)
                    for table, column in tables.items()
                }
            return {table for table, count in counts.items() if count}

        assert found() == ROTATED
        for table in tables:
            switch = sql.SQL("ALTER TABLE bailiwick.{} NO FORCE ROW LEVEL SECURITY")
            superuser.execute(switch.format(sql.Identifier(table)))
        assert found() >= TABLES


def test_an_operator_is_somebody_else_until_it_says_so(database: TestDatabase, owners: tuple[Owner, Owner]) -> None:
    with database.connect(roles.CONTROL) as connection:
        with connection.transaction():
            connection.execute("SET LOCAL ROLE bailiwick_operator")
            query = "SELECT count(*) FROM bailiwick.tenants WHERE id = ANY (%s)"
            assert connection.execute(query, ([owner.tenant_id for owner in owners],)).fetchone() == (2,)
        with pytest.raises(UNSET):
            connection.execute("SELECT * FROM bailiwick.tenants")
    with database.connect(roles.APP) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SET ROLE bailiwick_operator")


def test_a_row_of_ones_own_cannot_point_into_another_tenant(
    database: TestDatabase, owners: tuple[Owner, Owner]
) -> None:
    own, foreign = owners
    statements = (
        (
            b"INSERT INTO bailiwick.api_keys (id, tenant_id, project_id, name, lookup_id, digest, scopes, act_as,"
            b" created_by) VALUES (gen_random_uuid(), %s, %s, 'K', 'x', 'x', '{}', true, 'test')"
        ),
        (
            b"INSERT INTO bailiwick.providers (id, tenant_id, project_id, name, kind, base_url, created_by)"
            b" VALUES (gen_random_uuid(), %s, %s, 'x', 'echo', '', 'test')"
        ),
        b"UPDATE bailiwick.tenants SET id = %s, default_project = %s",
    )
    with database.connect(roles.CONTROL) as connection:
        for statement in statements:
            with connection.transaction(force_rollback=True):
                connection.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (str(own.tenant_id),))
                with pytest.raises(psycopg.errors.ForeignKeyViolation):
                    connection.execute(statement, (own.tenant_id, foreign.project_id))
