"""Several gateways on one database with a scripted provider behind them, each counting its limits by itself."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final
from uuid import UUID, uuid4

import httpx2
import psycopg

from bailiwick.domain import ids
from bailiwick.identity.keyring import MasterKey
from bailiwick.storage.embedded import EmbeddedPostgres
from tests.installation import Installation
from tests.upstream import Upstream

MODEL: Final = "gpt-4o-mini"
_KEY: Final = MasterKey(secret=b"k" * 32).written()
_SETTINGS: Final = {"BAILIWICK_MASTER_KEY": _KEY, "BAILIWICK_LIMIT_STORE": "local"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A project and a key of it."""

    project_id: UUID
    tenant_id: UUID
    key: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The gateways, what is behind them, and the database's superuser."""

    installations: list[Installation]
    upstream: Upstream
    superuser: str

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as the superuser; what it tells."""
        with psycopg.connect(self.superuser, dbname="postgres", autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def caller(self) -> Caller:
        """A new project, whose provider is the scripted one."""
        admin = self.installations[0].admin
        made = admin.project()
        admin.provider(made["id"], self.upstream.base_url)
        key = admin.key(made["id"])
        project, tenant = ids.parsed(ids.PROJECT, made["id"]), ids.parsed(ids.TENANT, made["tenant_id"])
        assert project is not None
        assert tenant is not None
        return Caller(project_id=project, tenant_id=tenant, key=key["key"])

    def budget(self, caller: Caller, amount: int, **fields: object) -> UUID:
        """A budget of the caller's project, of money and of all time unless `fields` say otherwise."""
        given = {
            "id": uuid4(), "tenant_id": caller.tenant_id, "project_id": caller.project_id, "scope": "project",
            "unit": "usd", "amount": amount, "period": "total", "timezone": "UTC", "on_exceed": "reject",
            "max_wait_ms": 2000, "on_lost": "estimate", "created_by": "test", **fields,
        }  # fmt: skip
        names, places = ", ".join(given), ", ".join(["%s"] * len(given))
        self.sql(
            f"INSERT INTO bailiwick.budgets ({names}, created_at) VALUES ({places}, now())",  # noqa: S608
            *given.values(),
        )
        return UUID(str(given["id"]))

    def stands(self, budget: UUID) -> tuple[int, int]:
        """What is settled and held of a budget."""
        ((settled, reserved),) = self.sql(
            "SELECT coalesce(sum(settled), 0)::bigint, coalesce(sum(reserved), 0)::bigint"
            " FROM bailiwick.budget_slices WHERE budget_id = %s",
            budget,
        )
        return settled, reserved

    def spent(self, caller: Caller) -> tuple[int, int, int]:
        """Rows, nano-dollars and tokens of the ledger."""
        ((rows, nano, tokens),) = self.sql(
            "SELECT count(*), coalesce(sum(cost_nano), 0)::bigint,"
            " coalesce(sum(input_tokens::bigint + output_tokens), 0)::bigint"
            " FROM bailiwick.ledger WHERE project_id = %s",
            caller.project_id,
        )
        return rows, nano, tokens

    def open_calls(self, caller: Caller) -> int:
        """How many of the project's calls are open."""
        ((count,),) = self.sql("SELECT count(*) FROM bailiwick.open_calls WHERE project_id = %s", caller.project_id)
        return int(count)

    def url(self) -> str:
        """Any of the gateways."""
        return f"{random.choice(self.installations).url}/v1/chat/completions"


def client(caller: Caller) -> httpx2.AsyncClient:
    """Who calls with the caller's key, over as many connections as it takes."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=256)
    return httpx2.AsyncClient(
        headers={"authorization": f"Bearer {caller.key}", "content-type": "application/json"},
        timeout=60, limits=limits, verify=False,
    )  # fmt: skip


@contextmanager
def nodes(folder: Path, count: int) -> Iterator[Nodes]:
    """So many gateways."""
    engine = EmbeddedPostgres(root=folder / "engine", superuser_password="super")
    engine.start()
    try:
        superuser = engine.conninfo(user="postgres", password="super")
        settings = {**_SETTINGS, "BAILIWICK_DATABASE_URL": superuser}
        made = [Installation(folder / f"node-{number}", settings=settings) for number in range(count)]
        with Upstream() as upstream, ThreadPoolExecutor(count) as pool:
            try:
                made[0].start()
                list(pool.map(Installation.start, made[1:]))
                yield Nodes(installations=made, upstream=upstream, superuser=superuser)
            finally:
                list(pool.map(Installation.stop, made))
    finally:
        engine.stop()
