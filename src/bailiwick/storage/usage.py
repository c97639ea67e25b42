"""Reads usage: roll-ups up to their watermark and the ledger's rows after it, in one query.

Whatever a report says is what the ledger says at that moment, to the last call that was settled: the roll-ups hold
what was written by transactions below the watermark, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.refusals import RefusalCount, RefusalsReport, step_of
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
# Beyond every transaction. Of what is written since an unknown one the planner thinks as a third of all; of what lies
# between two, as little, which it is.
NO_XID: Final = 2**63 - 1
_TOTAL_ALONE: Final = "none"
_REFUSAL: Final = "refusal"
_SHOWN_IDS: Final = {GroupBy.KEY: ids.KEY, GroupBy.PROJECT: ids.PROJECT, GroupBy.AGENT: ids.AGENT}
# By what a grouping's rows are rolled up; any other is made of all calls.
_DIMENSIONS: Final = {
    GroupBy.KEY: "key", GroupBy.PROVIDER: "provider", GroupBy.MODEL: "model", GroupBy.AGENT: "agent",
    GroupBy.TIER: "tier",
}  # fmt: skip


@final
class UsageRows:
    """The usage of a tenant, or of one of its projects; each report is one query, and so of one moment."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId | None) -> None:
        """`scope` is a survey of that tenant; None is the whole tenant."""
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id, "doublings": DOUBLINGS, "no_xid": NO_XID}

    async def exist(self) -> bool:
        """Whether there is such a project, or such a tenant."""
        row = await self._scope.fetch_one(_SQL["exists"], self._place)
        return row is not None and bool(row["found"])

    async def report(self, query: UsageQuery, *, uid: str | None = None) -> UsageReport:
        """A page of groups and the total; of one end user only if `uid` is given. Raises `Invalid`."""
        uids = None if uid is None else [uid]
        if query.group_by is GroupBy.SESSION:
            return _report(query, await self._rows("usage_by_session", query, uids=uids))
        if query.group_by is GroupBy.USER and uids is None:
            found = await self._rows("users_in_span", query)
            everybody = await self._grouped([replace(query, after=None)], [_TOTAL_ALONE])
            users = replace(query, limit=len(found))
            rows = await self._grouped([users], uids=[row["uid"] for row in found])
            return _report(query, [*everybody[:1], *(row for row in rows if not row["is_total"])])
        return _report(query, await self._grouped([query], uids=uids))

    async def survey(self, queries: Sequence[UsageQuery], *, uid: str | None = None) -> list[UsageReport]:
        """First pages of one span in several groupings, those of users and sessions excepted; of one user by `uid`."""
        return _reports(queries, await self._grouped(queries, uids=None if uid is None else [uid]))

    async def survey_with_refusals(self, queries: Sequence[UsageQuery]) -> tuple[list[UsageReport], RefusalsReport]:
        """What `survey` has of everybody, and how many calls were refused in the span; raises `Invalid`."""
        rows = await self._grouped(queries, refusals_by=step_of(queries[0]))
        refused = [row for row in rows if row["group_by"] == _REFUSAL]
        counts = tuple(
            RefusalCount(
                at=row["at"], project_id=ProjectId(row["project_id"]), code=row["key"], requests=int(row["requests"])
            )
            for row in refused
        )
        return _reports(queries, rows), RefusalsReport(query=queries[0], counts=counts)

    async def of_users(self, query: UsageQuery, uids: Sequence[str]) -> dict[str, Usage]:
        """What each of some end users used within the span of `query`; of who did not call, nothing."""
        users = replace(query, group_by=GroupBy.USER, limit=len(uids), after=None)
        rows = await self._grouped([users], uids=uids)
        return {row["key"]: usage_of(row) for row in rows if not row["is_total"]}

    async def _grouped(
        self,
        queries: Sequence[UsageQuery],
        groups: Sequence[str] | None = None,
        *,
        uids: Sequence[str] | None = None,
        refusals_by: str | None = None,
    ) -> list[Row]:
        """The rows of `usage_by_group`; `groups` are those of the queries unless given."""
        days = [(query.end_hour,) * 2 if query.group_by is GroupBy.HOUR else query.whole_days for query in queries]
        values = {
            "groups": groups or [query.group_by.value for query in queries],
            "dimensions": [_DIMENSIONS.get(query.group_by, "all") for query in queries],
            "first_days": [first for first, _ in days],
            "end_days": [end for _, end in days],
            "limits": [query.limit + 1 for query in queries],
            "refusals_by": refusals_by,
        }
        return await self._rows("usage_by_group", queries[0], values, uids=uids)

    async def _rows(
        self,
        name: str,
        query: UsageQuery,
        more: Mapping[str, object] = MappingProxyType({}),
        *,
        uids: Sequence[str] | None = None,
    ) -> list[Row]:
        values = {
            "since": query.since,
            "until": query.until,
            "first_hour": query.first_hour,
            "end_hour": query.end_hour,
            "uids": uids,
            "paged": query.after is not None,
            "after": _after(query),
            "limit": query.limit + 1,
        }
        return await self._scope.fetch_all(_SQL[name], {**self._place, **values, **more})


def _reports(queries: Sequence[UsageQuery], rows: Sequence[Row]) -> list[UsageReport]:
    return [
        _report(query, [row for row in rows if row["is_total"] or row["group_by"] == query.group_by])
        for query in queries
    ]


def _report(query: UsageQuery, rows: Sequence[Row]) -> UsageReport:
    """What rows come to, of which the first is the total if there is anything at all."""
    total = usage_of(rows[0]) if rows and rows[0]["is_total"] else NO_CALLS
    groups = [row for row in rows if not row["is_total"]]
    return UsageReport(
        query=query,
        groups=tuple(
            Group(key=_shown(query.group_by, row["key"]), usage=usage_of(row), label=row.get("label"))
            for row in groups[: query.limit]
        ),
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


def usage_of(row: Row) -> Usage:
    """The numbers of a group."""
    # Sums come as exact decimals.
    return Usage(
        requests=int(row["requests"]),
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        cost_nano=int(row["cost_nano"]),
        latency_p50_ms=latency_of(row["p50"]),
        latency_p95_ms=latency_of(row["p95"]),
    )
