"""Reads the ledger's rows one by one, in an order that a reader can go on in."""

from __future__ import annotations

from typing import Final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage import Outcome, TokenUsage, UsageSource
from bailiwick.domain.usage_export import SettledCall
from bailiwick.domain.usage_report import UsageQuery
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("usage_export")
PAGE: Final = 2_000


async def settled_calls(
    scope: Scope, tenant_id: TenantId, project_id: ProjectId | None, query: UsageQuery, after: SettledCall | None
) -> list[SettledCall]:
    """The next calls after one, at most `PAGE`; of all projects for None. `scope` is a reading of that tenant."""
    values = {
        "tenant": tenant_id,
        "project": project_id,
        "since": query.since,
        "until": query.until,
        "after_project": None if after is None else after.project_id,
        "after_at": None if after is None else after.opened_at,
        "after_id": None if after is None else after.id,
        "limit": PAGE,
    }
    return [_call(row) for row in await scope.fetch_all(_SQL["settled_calls"], values)]


def _call(row: Row) -> SettledCall:
    return SettledCall(
        id=row["id"],
        opened_at=row["opened_at"],
        project_id=row["project_id"],
        key_id=row["key_id"],
        uid=row["uid"],
        sid=row["sid"],
        agent_id=row["agent_id"],
        agent_version=row["agent_version"],
        tier=row["tier"],
        provider=row["provider"],
        model=row["model"],
        streamed=row["streamed"],
        outcome=Outcome(row["outcome"]),
        status=row["status"],
        usage_source=UsageSource(row["usage_source"]),
        usage=TokenUsage(**{kind: row[kind] or 0 for kind in TokenUsage._fields}),
        cost_nano=row["cost_nano"],
        latency_ms=row["latency_ms"],
        first_byte_ms=row["first_byte_ms"],
        price=row["price"],
        asked=row["asked"] or row["model"],
    )
