"""Calls that were refused, in the database: written by the gateway in batches, read by whoever asks why.

The store is bounded: `trim` leaves the newest of each project, the newest of all, and none that is old.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final
from uuid import UUID

import msgspec
import psycopg

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.explanation import CallFacts, Found, OpenedCall, RefusedCall, SettledCall, Step
from bailiwick.domain.ids import AgentId, KeyId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.refusals import RefusalCount as Counted
from bailiwick.domain.refusals import RefusalsReport, step_of
from bailiwick.domain.usage import Outcome, UsageSource
from bailiwick.domain.usage_report import UsageQuery
from bailiwick.storage.ledger_connection import LedgerConnection
from bailiwick.storage.price_history import find_version
from bailiwick.storage.refused_crossings import SQL as CROSSINGS
from bailiwick.storage.refused_crossings import Count
from bailiwick.storage.scope import Conninfo, Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("refused_calls")
_encode = msgspec.json.encode
_KEPT_OF_PROJECT: Final = 1_000
_KEPT: Final = 100_000
_KEPT_DAYS: Final = 30


@final
class Note(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A refused call as it is written. `id` is 32 hex digits, `at_us` Unix time in microseconds."""

    id: str
    tenant_id: UUID
    project_id: UUID
    key_id: UUID | None
    at_us: int
    uid: str | None
    sid: str | None
    door: str
    status: int
    code: str
    step: str | None
    reason: str


@final
class RefusalCount(NamedTuple):
    """How many calls of a project a process has refused so within an hour, up to now; `hour_us` is Unix time."""

    tenant_id: UUID
    project_id: UUID
    code: str
    hour_us: int
    refused: int


@final
class RefusalStore:
    """Writes as the ledger's role, which may write for any tenant and read nothing of this."""

    def __init__(self, conninfo: Conninfo, process_id: UUID) -> None:
        """`conninfo` is the ledger role's login; nothing connects before the first writing."""
        self._process = str(process_id)
        self._connection = LedgerConnection(conninfo, name=f"bailiwick refusals {process_id}")

    async def write(
        self, notes: Sequence[Note], counts: Sequence[RefusalCount], crossings: Sequence[Count] = ()
    ) -> None:
        """Write notes, and counts in the place of those of the same hour or minute; raises `Unavailable`."""
        rows = [count._asdict() for count in counts]
        crossed = [count._asdict() for count in crossings]
        try:
            await self._connection.execute(_SQL["count_refusals"], self._process.encode(), _encode(rows))
            await self._connection.execute(_SQL["add_refused"], _encode(notes))
            if crossed:
                await self._connection.execute(CROSSINGS["count_crossings"], self._process.encode(), _encode(crossed))
        except (psycopg.Error, OSError) as trouble:
            raise Unavailable(cause=type(trouble).__name__) from trouble

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()


async def trim(database: Database) -> None:
    """Remove what is old, and what is more than is kept; raises `Unavailable`."""
    values = {"of_project": _KEPT_OF_PROJECT, "of_all": _KEPT, "days": _KEPT_DAYS}
    async with database.operating() as scope:
        await scope.execute(_SQL["trim_refused"], values)


async def tenant_of_request(database: Database, request_id: UUID) -> TenantId | None:
    """Whose call this is, refused, open or settled; None if there is no such."""
    async with database.reading(None) as scope:
        row = await scope.fetch_one(_SQL["tenant_of_request"], (request_id,))
    return None if row is None or row["tenant_id"] is None else TenantId(row["tenant_id"])


async def find(scope: Scope, tenant_id: TenantId, request_id: UUID) -> Found | None:
    """One call of a tenant; what is refused or settled before what is open, since a call moves that way."""
    row = await scope.fetch_one(_SQL["find_call"], {"tenant": tenant_id, "id": request_id})
    if row is None:
        return None
    if row["state"] == "refused":
        return _refused(row)
    if row["state"] == "open":
        return OpenedCall(call=_facts(row), provider=row["provider"], model=row["model"])
    price = None if row["price"] is None else await find_version(scope, tenant_id, row["price"])
    return SettledCall(
        call=_facts(row),
        provider=row["provider"],
        model=row["model"],
        outcome=Outcome(row["outcome"]),
        source=UsageSource(row["usage_source"]),
        status=row["status"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cost_nano=row["cost_nano"],
        price=price,
        latency_ms=row["latency_ms"],
        blocked=row["reason"],
    )


async def newest(
    scope: Scope, tenant_id: TenantId, project_id: ProjectId | None, uid: str | None, page: PageRequest
) -> Page[RefusedCall]:
    """The refused calls of a tenant that are still kept, the newest first; of one project or end user if given."""
    values = {"tenant": tenant_id, "project": project_id, "uid": uid, "after": page.after, "limit": page.limit + 1}
    return Page.of([_refused(row) for row in await scope.fetch_all(_SQL["list_refused"], values)], page.limit)


async def report(scope: Scope, tenant_id: TenantId, project_id: ProjectId | None, query: UsageQuery) -> RefusalsReport:
    """How many calls of a project, or of a whole tenant for None, were refused in a span; raises `Invalid`."""
    values = {
        "tenant": tenant_id,
        "project": project_id,
        "step": step_of(query),
        "first_hour": query.first_hour,
        "end_hour": query.end_hour,
    }
    rows = await scope.fetch_all(_SQL["count_by_time"], values)
    counts = (
        Counted(at=row["at"], project_id=ProjectId(row["project_id"]), code=row["code"], requests=int(row["refused"]))
        for row in rows
    )
    return RefusalsReport(query=query, counts=tuple(counts))


def _refused(row: Row) -> RefusedCall:
    step = None if row["step"] is None else Step(row["step"])
    return RefusedCall(call=_facts(row), status=row["status"], code=row["code"], step=step, reason=row["reason"])


def _facts(row: Row) -> CallFacts:
    return CallFacts(
        id=row["id"],
        tenant_id=TenantId(row["tenant_id"]),
        project_id=ProjectId(row["project_id"]),
        key_id=None if row["key_id"] is None else KeyId(row["key_id"]),
        uid=row["uid"],
        sid=row["sid"],
        at=row["at"],
        door=row["door"],
        agent=None if row.get("agent_id") is None else (AgentId(row["agent_id"]), row["agent_version"]),
        tier=row.get("tier"),
        asked=row.get("asked"),
    )
