"""Refused crossings in the database: counted by gateways and the control process, taken out for the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, final
from uuid import UUID

import msgspec

from bailiwick.domain.audit_chain import Chain
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import Sql, load

SQL: Final = load("refused_crossings")
# The gateways' own connection has parameters by number.
_COUNT: Final = Sql(SQL["count_crossings"].replace(b"$1", b"%(process)s").replace(b"$2", b"%(counts)s"))


@final
class Count(NamedTuple):
    """How many a process has refused of one caller, so, within a minute, up to now; `minute_us` is Unix time."""

    tenant_id: TenantId | None
    project_id: ProjectId | None
    minute_us: int
    actor: str
    uid: str | None
    code: str
    refused: int


@final
class Taken(NamedTuple):
    """How many were refused of one caller, so, within the minute that began then."""

    project_id: UUID | None
    minute: datetime
    actor: str
    uid: str | None
    code: str
    refused: int


async def count(scope: Scope, process_id: UUID, counts: Sequence[Count]) -> None:
    """Write what a process has counted, in the place of what it told before of the same minute; an operator's scope."""
    rows = msgspec.json.encode([one._asdict() for one in counts]).decode()
    await scope.execute(_COUNT, {"process": process_id, "counts": rows})


async def chains(scope: Scope, before: datetime) -> list[Chain]:
    """Whose audit log there is something for, of minutes that began before."""
    rows = await scope.fetch_all(SQL["chains_with_crossings"], {"before": before})
    return [None if row["tenant_id"] is None else TenantId(row["tenant_id"]) for row in rows]


async def take(scope: Scope, tenant_id: Chain, before: datetime, most: int) -> list[Taken]:
    """Take out what is for one log."""
    values = {"tenant": tenant_id, "before": before, "most": most}
    return [Taken(**row) for row in await scope.fetch_all(SQL["take_crossings"], values)]
