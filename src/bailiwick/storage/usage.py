"""Reads the ledger for reports: groups of one project's settled calls, for both planes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import Group, GroupBy, Usage, UsageQuery, UsageReport
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("usage")


async def by_group(
    scope: Scope, tenant_id: TenantId, project_id: ProjectId, query: UsageQuery, *, uid: str | None = None
) -> UsageReport:
    """A page of groups and the total, in one reading of the ledger; of one end user only if `uid` is given."""
    rows = await scope.fetch_all(
        _SQL["usage_by_group"],
        {
            "tenant": tenant_id,
            "project": project_id,
            "since": query.since,
            "until": query.until,
            "group_by": query.group_by.value,
            "uid": uid,
            "paged": query.after is not None,
            "after": _after(query),
            "limit": query.limit + 1,
        },
    )
    total, groups = rows[0], rows[1:]
    return UsageReport(
        query=query,
        groups=_groups(groups[: query.limit], query.group_by),
        has_more=len(groups) > query.limit,
        total=_usage(total),
    )


def _groups(rows: Sequence[Row], group_by: GroupBy) -> tuple[Group, ...]:
    if group_by is GroupBy.KEY:
        return tuple(Group(key=_shown_key(row["key"]), usage=_usage(row)) for row in rows)
    return tuple(Group(key=row["key"], usage=_usage(row)) for row in rows)


def _after(query: UsageQuery) -> str | None:
    """The last group as the ledger spells it; raises `Invalid` for a cursor of another grouping."""
    if query.after is None or query.after.key is None or query.group_by is not GroupBy.KEY:
        return None if query.after is None else query.after.key
    key_id = ids.parsed(ids.KEY, query.after.key)
    if key_id is None:
        raise invalid("after", "must be the `next` of an earlier page")
    return str(key_id)


def _shown_key(stored: str | None) -> str | None:
    return None if stored is None else ids.shown(ids.KEY, UUID(stored))


def _usage(row: Row) -> Usage:
    p50, p95 = row["latencies"] or (None, None)
    # Sums come as exact decimals, and as None of no rows.
    return Usage(
        requests=row["requests"],
        input_tokens=int(row["input_tokens"] or 0),
        output_tokens=int(row["output_tokens"] or 0),
        cost_nano=int(row["cost_nano"] or 0),
        latency_p50_ms=p50,
        latency_p95_ms=p95,
    )
