"""Reads usage: roll-ups up to their watermark and the ledger's rows after it, in one snapshot.

Whatever a report says is what the ledger says at that moment, to the last call that was settled: the roll-ups hold
what was written by transactions below the watermark, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import (
    DOUBLINGS,
    NO_CALLS,
    Group,
    GroupBy,
    Usage,
    UsageQuery,
    UsageReport,
    latency_of,
)
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("usage")
_TOTAL_ALONE: Final = "none"
_SHOWN_IDS: Final = {GroupBy.KEY: ids.KEY, GroupBy.PROJECT: ids.PROJECT}


@final
class UsageRows:
    """The usage of a tenant, or of one of its projects; `scope` is to be one snapshot of that tenant."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId | None, watermark: int) -> None:
        self.watermark: Final = watermark
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id, "xid": watermark, "doublings": DOUBLINGS}

    @classmethod
    async def of(cls, scope: Scope, tenant_id: TenantId, project_id: ProjectId | None) -> UsageRows | None:
        """The usage of a project, or of a whole tenant for None; None if there is no such."""
        row = await scope.fetch_one(_SQL["watermark"], {"tenant": tenant_id, "project": project_id})
        return None if row is None else cls(scope, tenant_id, project_id, row["xid"])

    async def report(self, query: UsageQuery, *, uid: str | None = None) -> UsageReport:
        """A page of groups and the total; of one end user only if `uid` is given. Raises `Invalid`."""
        uids = None if uid is None else [uid]
        if query.group_by is GroupBy.SESSION:
            return _report(query, await self._rows("usage_by_session", query, uids=uids))
        if query.group_by is GroupBy.USER and uids is None:
            found = await self._rows("users_in_span", query)
            everybody = await self._rows("usage_by_group", query, group_by=_TOTAL_ALONE)
            users = replace(query, limit=len(found))
            rows = await self._rows("usage_by_group", users, uids=[row["uid"] for row in found])
            return _report(query, [*everybody[:1], *(row for row in rows if not row["is_total"])])
        return _report(query, await self._rows("usage_by_group", query, uids=uids))

    async def of_users(self, query: UsageQuery, uids: Sequence[str]) -> dict[str, Usage]:
        """What each of some end users used within the span of `query`; of who did not call, nothing."""
        users = replace(query, group_by=GroupBy.USER, limit=len(uids), after=None)
        rows = await self._rows("usage_by_group", users, uids=uids)
        return {row["key"]: _usage(row) for row in rows if not row["is_total"]}

    async def _rows(
        self, name: str, query: UsageQuery, *, uids: Sequence[str] | None = None, group_by: str | None = None
    ) -> list[Row]:
        values = {
            "since": query.since,
            "until": query.until,
            "first_hour": query.first_hour,
            "end_hour": query.end_hour,
            "group_by": group_by or query.group_by.value,
            "uids": uids,
            "paged": query.after is not None,
            "after": _after(query),
            "limit": query.limit + 1,
        }
        return await self._scope.fetch_all(_SQL[name], self._place | values)


def _report(query: UsageQuery, rows: Sequence[Row]) -> UsageReport:
    """What rows come to, of which the first is the total if there is anything at all."""
    total = _usage(rows[0]) if rows and rows[0]["is_total"] else NO_CALLS
    groups = [row for row in rows if not row["is_total"]]
    return UsageReport(
        query=query,
        groups=tuple(Group(key=_shown(query.group_by, row["key"]), usage=_usage(row)) for row in groups[: query.limit]),
        has_more=len(groups) > query.limit,
        total=total,
    )


def _after(query: UsageQuery) -> str | None:
    """The last group as the database spells it; raises `Invalid` for a cursor of another grouping."""
    key = None if query.after is None else query.after.key
    prefix = _SHOWN_IDS.get(query.group_by)
    if key is None or prefix is None:
        return key
    read = ids.parsed(prefix, key)
    if read is None:
        raise invalid("after", "must be the `next` of an earlier page")
    return str(read)


def _shown(group_by: GroupBy, key: str | None) -> str | None:
    prefix = _SHOWN_IDS.get(group_by)
    return key if key is None or prefix is None else ids.shown(prefix, UUID(key))


def _usage(row: Row) -> Usage:
    # Sums come as exact decimals.
    return Usage(
        requests=int(row["requests"]),
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        cost_nano=int(row["cost_nano"]),
        latency_p50_ms=latency_of(row["p50"]),
        latency_p95_ms=latency_of(row["p95"]),
    )
