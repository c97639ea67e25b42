"""Whatever operators of two tenants ask for, in whatever order: nobody comes to hold more, or reads what is another's.

A machine makes calls at random, by any operator that there is or comes to be, on any address, with ids of both tenants
and of the installation, and with fields that nobody may set. After each, the database is asked what has changed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import sql

from bailiwick.domain import ids
from bailiwick.domain.policy import ALLOWED
from bailiwick.services import confinement
from tests.control import Control, add_operator, controlled
from tests.database import Connection, TestDatabase, TestServer
from tests.faults.trial import PROVE, times
from tests.holdings import Holding, body_for, every_address, filled, holding
from tests.isolation.catalogue import tenant_tables

Value = TypeVar("Value")
ROLES: Final = ("viewer", "admin", "owner")
INSTALLATION: Final = "installation"
# By the tables whose ids are shown, the prefixes of these.
PREFIXES: Final = {
    "tenants": ids.TENANT,
    "projects": ids.PROJECT,
    "api_keys": ids.KEY,
    "tiers": ids.TIER,
    "budgets": ids.BUDGET,
    "revocations": ids.REVOCATION,
    "providers": ids.PROVIDER,
    "issuers": ids.ISSUER,
    "agents": ids.AGENT,
    "members": ids.MEMBER,
    "roles": ids.ROLE,
    "mcp_servers": ids.MCP_SERVER,
    "webhooks": ids.WEBHOOK,
    "webhook_deliveries": ids.DELIVERY,
    "operator_keys": ids.OPERATOR_KEY,
    "operators": ids.OPERATOR,
}
# What is written about acts, and not by them.
RECORDS: Final = {"audit", "audit_heads", "idempotency"}
SHOWN: Final = re.compile(r"\b(?:ten|prj|key|tir|bud|rev|prv|iss|agt|mem|rol|mcp|whk|whd|opk|opr)_[0-9a-z]{26}\b")
NAMES: Final = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["x" * 200, "x" * 201, "<script>alert(1)</script>", "Ünïcødé", "名前", "שם", "اسم", "👩‍👩‍👧", "\u202eevil",
         "' OR 1=1 --", "{{7*7}}", "../../etc/passwd", "a\u0000b", "\ud800", " ", "%s%n", "null"]
    ),
)  # fmt: skip
# What would give somebody something, where it is taken.
FIELDS: Final = st.one_of(
    st.tuples(st.just("role"), st.sampled_from(ROLES)),
    st.tuples(st.just("tenant_id"), st.sampled_from(["a", "b", None, "installation"])),
    st.tuples(st.just("name"), NAMES),
    st.sampled_from(
        [("status", "active"), ("status", "suspended"), ("expires_at", "2030-01-01T00:00:00Z"), ("id", "opk_x"),
         ("created_by", "bootstrap"), ("grace_seconds", 60), ("email", "a@example.com"), ("scopes", None)]
    ),
)  # fmt: skip
SLOW: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
PLACES: Final = st.integers(0, 9_999)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """An operator's credential, and what it is good for as it was made."""

    id: str
    text: str
    role: str
    tenant: str

    def holds(self, role: str, tenant: str) -> bool:
        """Whether this much authority is no more than its own."""
        return ROLES.index(role) <= ROLES.index(self.role) and self.tenant in (INSTALLATION, tenant)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The control plane, kept open over many runs, and what looks into its database."""

    runner: asyncio.Runner
    control: Control
    database: TestDatabase
    superuser: Connection
    addresses: list[tuple[str, str]]

    def run(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Do something of the control plane's."""
        return self.runner.run(work)

    def state(self) -> dict[tuple[str, str, str], str]:
        """A digest of all rows, by table, tenant and role."""
        parts = [
            sql.SQL(
                "SELECT {name}, coalesce({column}::text, 'installation'), {role}, md5(string_agg(t::text, '' ORDER BY"
                " t::text)) FROM bailiwick.{table} t GROUP BY 2, 3"
            ).format(
                name=sql.Literal(table),
                column=sql.Identifier(column),
                role=sql.SQL("role" if table in ("operator_keys", "operators") else "''"),
                table=sql.Identifier(table),
            )
            for table, column in tenant_tables(self.superuser).items()
            if not table.startswith("ledger")
        ]
        rows = self.superuser.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall()
        return {(table, tenant, role): digest for table, tenant, role, digest in rows}

    def ids_outside(self, tenant: str) -> set[str]:
        """Every shown id of what belongs to other tenants."""
        outside: set[str] = set()
        for table, prefix in PREFIXES.items():
            column = "id" if table == "tenants" else "tenant_id"
            query = sql.SQL("SELECT id FROM bailiwick.{} WHERE {} <> %s").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            outside |= {ids.shown(prefix, row[0]) for row in self.superuser.execute(query, (tenant,)).fetchall()}
        return outside

    def authority(self, key_id: str) -> tuple[str, str]:
        """The role and the tenant of an operator key as it is now."""
        query = "SELECT role, coalesce(tenant_id::text, 'installation') FROM bailiwick.operator_keys WHERE id = %s"
        row = self.superuser.execute(query, (ids.parsed(ids.OPERATOR_KEY, key_id),)).fetchone()
        assert row is not None
        return row[0], row[1]


@pytest.fixture(scope="module")
def world(server: TestServer) -> Iterator[World]:
    database = server.create()
    with asyncio.Runner() as runner, database.connect() as superuser:
        opened = controlled(database)
        control = runner.run(opened.__aenter__())
        yield World(
            runner=runner,
            control=control,
            database=database,
            superuser=superuser,
            addresses=weighted(runner.run(every_address(control))),
        )
        runner.run(opened.__aexit__(None, None, None))


def weighted(addresses: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Every address, and three times those that are about operators."""
    return addresses + 2 * [address for address in addresses if "/operator" in address[1]]


def tenant_uuid(holding_: Holding) -> str:
    return str(ids.parsed(ids.TENANT, holding_.ids["tenant_id"]))


@final
class Operating(RuleBasedStateMachine):
    """Operators of two tenants and of the installation, and whatever they ask for."""

    askers = Bundle("askers")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.a = self.world.run(holding(self.world.control, "canary-a"))
        self.b = self.world.run(holding(self.world.control, "canary-b"))
        self.known = {name: [self.a.ids[name], self.b.ids[name]] for name in self.a.ids}
        self.known["uid"] = ["someone", "somebody else"]
        for own in (self.a, self.b):
            for name, value in own.of_tenant.items():
                self.known[name].append(value)
        self.known["operator_key_id"].append(self.world.control.operator_id)
        self.state = self.world.state()

    @initialize(target=askers, role=st.sampled_from(ROLES))
    def one_of_a(self, role: str) -> Asker:
        return self.operator(role, self.a)

    @initialize(target=askers, role=st.sampled_from(ROLES))
    def one_of_b(self, role: str) -> Asker:
        return self.operator(role, self.b)

    @initialize(target=askers, role=st.sampled_from(ROLES[:2]))
    def one_of_the_installation(self, role: str) -> Asker:
        return self.operator(role, None)

    def operator(self, role: str, of: Holding | None) -> Asker:
        tenant = None if of is None else of.ids["tenant_id"]
        key_id, text = add_operator(self.world.database, role=role, tenant=tenant)
        self.known["operator_key_id"].append(key_id)
        self.state = self.world.state()
        return Asker(id=key_id, text=text, role=role, tenant=INSTALLATION if of is None else tenant_uuid(of))

    @rule(target=askers, asker=askers, at=PLACES, data=st.data())
    def ask(self, asker: Asker, at: int, data: st.DataObject) -> Asker:
        """Any call; returns the operator that came of it, or the asker again."""
        method, path = self.world.addresses[at % len(self.world.addresses)]
        asking = self.world.control.asked_by((asker.id, asker.text))
        # By places and not by ids, which differ from run to run.
        places = data.draw(st.lists(PLACES, min_size=len(self.known), max_size=len(self.known)))
        values = {name: known[at % len(known)] for at, (name, known) in zip(places, self.known.items(), strict=True)}
        headers = data.draw(st.sampled_from([{}, {"if-match": "*"}, {"idempotency-key": "k"}]))
        body = None
        if method in ("post", "patch"):
            body = {**(body_for(method, path) or {}), **dict(map(self.field, data.draw(st.lists(FIELDS, max_size=2))))}
            if "email" in body:
                body["email"] = data.draw(st.sampled_from(["a@example.com", "b@example.com", "c@example.com"]))
        with suppress(UnicodeEncodeError):  # What no client can send.
            answer = self.world.run(asking.ask(method.upper(), filled(path, values), body, headers=headers))
            assert answer.status_code < 500, (method, path, answer.text)
            self.check_answer(asker, answer.text)
            self.check_state(asker)
            return self.learn(asker, answer.text)
        return asker

    def field(self, named: tuple[str, object]) -> tuple[str, object]:
        """A field, with the id of a tenant where one is named."""
        tenants: dict[object, str] = {"a": self.a.ids["tenant_id"], "b": self.b.ids["tenant_id"]}
        return named[0], tenants.get(named[1], named[1]) if named[0] == "tenant_id" else named[1]

    def check_answer(self, asker: Asker, text: str) -> None:
        """Nothing of another tenant is in it."""
        if asker.tenant != INSTALLATION:
            assert not set(SHOWN.findall(text)) & self.world.ids_outside(asker.tenant)
            assert ("canary-b" if asker.tenant == tenant_uuid(self.a) else "canary-a") not in text

    def check_state(self, asker: Asker) -> None:
        """Only what the asker holds was changed."""
        before, self.state = self.state, self.world.state()
        for place in before.keys() | self.state.keys():
            if before.get(place) == self.state.get(place):
                continue
            table, tenant, role = place
            assert asker.tenant in (INSTALLATION, tenant), place
            if table in RECORDS or self.removed(tenant):  # With a tenant go its operators, whoever removes it.
                continue
            assert asker.role != "viewer", place
            assert asker.holds(role or "viewer", tenant), place
            assert table != "operators" or asker.role == "owner", place

    def removed(self, tenant: str) -> bool:
        """Whether a tenant is gone, and its operators with it."""
        return tenant != INSTALLATION and ("tenants", tenant, "") not in self.state

    def learn(self, asker: Asker, text: str) -> Asker:
        """Take up new ids; and whoever was made, if a secret came with it."""
        for shown in SHOWN.findall(text):
            name = {
                "ten": "tenant", "prj": "project", "key": "key", "prv": "provider", "opk": "operator_key",
                "opr": "operator", "iss": "issuer", "mcp": "mcp_server", "tir": "tier", "bud": "budget",
                "rev": "revocation", "agt": "agent", "mem": "member", "rol": "role",
                "whk": "webhook", "whd": "delivery",
            }[shown[:3]] + "_id"  # fmt: skip
            if shown not in self.known[name]:
                self.known[name].append(shown)
        secret = re.search(r'"key":"(bwa_live_[0-9A-Za-z_]+)"', text)
        if secret is None:
            return asker
        key_id = re.search(r'"id":"(opk_\w+)"', text)
        assert key_id is not None
        role, tenant = self.world.authority(key_id[1])
        assert asker.holds(role, tenant), f"{asker.role} of {asker.tenant} came to hold {role} of {tenant}"
        return Asker(id=key_id[1], text=secret[1], role=role, tenant=tenant)


def run(world: World, *, examples: int, steps: int) -> None:
    # Its annotation asks for a class, its code for whatever makes a machine.
    machine: Any = partial(Operating, world)
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=not PROVE,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                suppress_health_check=SLOW,
            ),
        )
    except FlakyFailure as failures:
        # The world keeps what an example did: the same steps a second time may fail otherwise.
        raise failures.exceptions[0] from None


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_no_sequence_of_calls_gives_anybody_more_or_another_tenants(world: World) -> None:
    run(world, examples=times(200, 6), steps=times(60, 25))


def test_the_machine_notices_when_tenants_are_not_confined(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "confine", lambda *_: ALLOWED)
    with pytest.raises(AssertionError):
        run(world, examples=60, steps=40)
