"""Every query of every `queries/*.sql`: PostgreSQL understands it, and the roles that run it may.

`EXPLAIN (GENERIC_PLAN)` parses, plans and checks every right, and runs nothing.
"""

from __future__ import annotations

import re

import psycopg
import pytest

from bailiwick.storage import roles
from bailiwick.storage.sql import Sql, aggregates, load
from tests.database import Connection, TestDatabase

# Who runs what. A new file has to be placed here; a query that differs from its file's others is named.
RUN_BY: dict[str, tuple[str, ...]] = {
    "agents": (roles.CONTROL,),
    "audit": (roles.CONTROL, roles.OPERATOR),
    "budgets": (roles.CONTROL,),
    "budget_upkeep": (roles.OPERATOR,),
    "budget_use": (roles.CONTROL,),
    "budget_use.read_use": (roles.CONTROL, roles.APP),
    "credentials": (roles.APP,),
    "doctor": ("postgres",),
    "idempotency": (roles.CONTROL, roles.OPERATOR),
    "end_users": (roles.CONTROL,),
    "erasure": (roles.CONTROL,),
    "installation": (roles.OPERATOR,),
    "installation.find_installation": (roles.CONTROL, roles.OPERATOR),
    "isolation": ("postgres",),
    "isolation_facts": ("postgres",),
    "issuers": (roles.CONTROL, roles.OPERATOR),
    "issuers.platform_issuers": (roles.OPERATOR,),
    "mcp_servers": (roles.CONTROL,),
    "mcp_servers.serving_mcp_servers": (roles.APP,),
    "keys": (roles.CONTROL,),
    "keys.add_key": (roles.CONTROL, roles.OPERATOR),
    "ledger": (roles.LEDGER,),
    "limit_history": (roles.APP,),
    "members": (roles.CONTROL,),
    "memberships": (roles.APP,),
    "operator_keys": (roles.CONTROL, roles.OPERATOR),
    "operator_keys.look_up_operator_key": (roles.CONTROL,),
    "operators": (roles.CONTROL, roles.OPERATOR),
    "origins": (roles.APP,),
    "playground": (roles.CONTROL,),
    "price_history": (roles.CONTROL,),
    "price_history.add_price_versions": (roles.LEDGER,),
    "projects": (roles.CONTROL,),
    "projects.add_project": (roles.CONTROL, roles.OPERATOR),
    "projects.find_project": (roles.CONTROL, roles.APP),
    "projects.list_every_project": (roles.CONTROL, roles.OPERATOR),
    "providers": (roles.CONTROL, roles.OPERATOR),
    "providers.platform_providers": (roles.OPERATOR,),
    "refused_calls": (roles.CONTROL,),
    "usage_of_all": (roles.OPERATOR,),
    "refused_crossings": (roles.OPERATOR,),
    "refused_crossings.count_crossings": (roles.LEDGER, roles.OPERATOR),
    "refused_calls.add_refused": (roles.LEDGER,),
    "refused_calls.count_refusals": (roles.LEDGER,),
    "refused_calls.trim_refused": (roles.OPERATOR,),
    "revocations": (roles.CONTROL,),
    "roll_up": (roles.OPERATOR,),
    "room": (roles.LEDGER,),
    "usage_hours": (roles.OPERATOR,),
    "outbox": (roles.OPERATOR,),
    "outbox.add_delivery": (roles.CONTROL, roles.OPERATOR),
    "webhooks": (roles.CONTROL,),
    "signing_keys": (roles.OPERATOR,),
    "signing_keys.list_signing_keys": (roles.APP, roles.CONTROL, roles.OPERATOR),
    "taken_away": (roles.APP,),
    "serving": (roles.APP,),
    "sessions": (roles.CONTROL, roles.OPERATOR),
    "sessions.look_up_session": (roles.CONTROL,),
    "sessions.look_up_visit": (roles.CONTROL,),
    "sign_in": (roles.CONTROL, roles.OPERATOR),
    "sign_in.look_up_sign_in": (roles.CONTROL,),
    "sign_in_providers": (roles.OPERATOR,),
    "sign_in_providers.list_sign_in_providers": (roles.CONTROL, roles.OPERATOR),
    "sign_in_providers.find_sign_in_provider": (roles.CONTROL, roles.OPERATOR),
    "sign_in_providers.look_up_identity": (roles.CONTROL,),
    "sign_in_providers.add_identity": (roles.CONTROL, roles.OPERATOR),
    "sign_in_providers.finish_sign_in": (roles.CONTROL, roles.OPERATOR),
    "sign_in_providers.forget_finished_sign_ins": (roles.CONTROL, roles.OPERATOR),
    "sign_in.look_up_sign_in_link": (roles.CONTROL,),
    "rotation": (roles.OWNER,),
    "tenant_roles": (roles.CONTROL,),
    "tenants": (roles.CONTROL,),
    "tenants.add_tenant": (roles.OPERATOR,),
    "tenants.list_tenants": (roles.OPERATOR,),
    "tiers": (roles.CONTROL,),
    "usage": (roles.APP, roles.CONTROL),
    "usage_export": (roles.CONTROL,),
}
QUERIES = [(aggregate, name) for aggregate in aggregates() for name in load(aggregate)]
_PARAMETER = re.compile(rb"%\((\w+)\)s|%s")


def numbered(query: Sql) -> bytes:
    """The query with parameters as PostgreSQL itself writes them."""
    names: list[bytes] = []

    def place(match: re.Match[bytes]) -> bytes:
        name = match[1] or b"%d" % len(names)
        if name not in names:
            names.append(name)
        return b"$%d" % (names.index(name) + 1)

    return _PARAMETER.sub(place, query).replace(b"%%", b"%")


def explain(connection: Connection, query: Sql, role: str) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL ROLE {role}".encode())
        # As psycopg sends it: without parameters of its own, so that a percent sign stays one.
        result = connection.pgconn.exec_(b"EXPLAIN (GENERIC_PLAN) " + numbered(query))
        if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
            raise AssertionError(result.error_message.decode())


@pytest.mark.parametrize(("aggregate", "name"), QUERIES, ids=[f"{aggregate}.{name}" for aggregate, name in QUERIES])
def test_every_query_is_understood_and_allowed(database: TestDatabase, aggregate: str, name: str) -> None:
    run_by = RUN_BY.get(f"{aggregate}.{name}", RUN_BY.get(aggregate))
    assert run_by is not None, f"say in RUN_BY who runs queries/{aggregate}.sql"
    with database.connect() as superuser:
        for role in run_by:
            explain(superuser, load(aggregate)[name], role)


def test_a_role_that_may_not_run_a_query_is_noticed(database: TestDatabase) -> None:
    with database.connect() as superuser, pytest.raises(AssertionError, match="permission denied"):
        explain(superuser, load("keys")["find_key"], roles.APP)


def test_a_query_that_postgresql_does_not_understand_is_noticed(database: TestDatabase) -> None:
    with database.connect() as superuser, pytest.raises(AssertionError, match="does not exist"):
        explain(superuser, Sql(b"SELECT nothing FROM bailiwick.tenants"), roles.CONTROL)


@pytest.mark.parametrize(
    "aggregate",
    [
        "projects",
        "budgets",
        "budget_use",
        "keys",
        "issuers",
        "mcp_servers",
        "providers",
        "tenants",
        "usage",
        "operator_keys",
        "operators",
        "end_users",
    ],
)
def test_every_query_within_a_tenant_says_whose(aggregate: str) -> None:
    across = {
        "list_tenants",
        "tenant_of",
        "platform_providers",
        "platform_issuers",
        "look_up_operator_key",
        "has_other_owner",
    }
    for name, query in load(aggregate).items():
        if name not in across:
            assert query.count(b"%(tenant)s"), f"{aggregate}.{name} does not filter by the tenant"
