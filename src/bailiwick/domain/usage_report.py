"""Usage by group: what both planes answer when they are asked what was spent.

`{"from", "to", "group_by", "data": [{"key", "requests", "input_tokens", "output_tokens", "cost_usd", "latency_p50_ms",
"latency_p95_ms"}], "total": {…}, "has_more", "next"}`; `from` counts, `to` does not; `total` is over all groups,
whatever the page. Groups of projects and of agents also have a `name`, null once there is no such any more. A call
belongs to the moment in which it opened. Latencies come from histograms that merge (`latency_bucket`): exact below
32 ms, within a thirty-second of the truth above.

Evolution: fields are added, their meaning never changes.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.money import usd
from bailiwick.domain.paging import DEFAULT_LIMIT, read_limit
from bailiwick.domain.times import read_moment, written

# The hour, or the day, after it could not be written.
_LAST_HOUR: Final = datetime(9999, 12, 31, 22, tzinfo=UTC)
_LAST_DAY: Final = datetime(9999, 12, 30, tzinfo=UTC)
PARAMETERS: Final = ("from", "to", "group_by", "limit", "after")


class GroupBy(StrEnum):
    """What rows are counted together.

    Days and hours are of UTC, `model` is `provider/name`, `tier` a name (that of several projects is one), the others
    are ids.
    """

    DAY = "day"
    HOUR = "hour"
    PROJECT = "project"
    USER = "user"
    MODEL = "model"
    PROVIDER = "provider"
    KEY = "key"
    SESSION = "session"
    AGENT = "agent"
    TIER = "tier"


# What an application calls its users and sessions is a project's own: equal ids of two projects are not the same.
OF_PROJECTS: Final = tuple(GroupBy)
OF_TENANTS: Final = tuple(group for group in GroupBy if group not in {GroupBy.USER, GroupBy.SESSION})

_NAMED: Final = frozenset({GroupBy.PROJECT, GroupBy.AGENT})

# How many doublings a latency is beyond 32 ms is how many of these it reaches: see `0004_usage.sql`.
DOUBLINGS: Final = [1 << power for power in range(5, 31)]


def latency_of(bucket: int) -> int:
    """The milliseconds in the middle of a bucket of latencies; exact below 32."""
    doublings = max(bucket // 16 - 1, 0)
    return ((bucket - 16 * doublings) << doublings) + (1 << doublings) // 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The last group that was seen of a grouping; None is that of the rows that name none, which comes first."""

    group_by: GroupBy
    key: str | None

    def written(self) -> str:
        """Write it so that it can stand in an address as it is."""
        plain = self.group_by if self.key is None else f"{self.group_by}={self.key}"
        return base64.urlsafe_b64encode(plain.encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str, group_by: GroupBy) -> Cursor:
        """Read what `written` wrote of the same grouping; raises `Invalid`."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            plain = ""
        _, named, key = plain.partition("=")
        cursor = cls(group_by=group_by, key=key if named else None)
        # One spelling of each, and none that the database could not be asked with.
        if cursor.written() != text or "\0" in plain:
            raise invalid("after", "must be the `next` of an earlier page")
        return cursor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuery:
    """What is asked: calls that opened from `since` to before `until`, in groups, a page of at most `limit`."""

    since: datetime
    until: datetime
    group_by: GroupBy
    limit: int = DEFAULT_LIMIT
    after: Cursor | None = None

    @property
    def first_hour(self) -> datetime:
        """When the hour began in which the span begins."""
        return self.since.replace(minute=0, second=0, microsecond=0)

    @property
    def end_hour(self) -> datetime:
        """When the hour is over in which the span ends."""
        hour = self.until.replace(minute=0, second=0, microsecond=0)
        return hour if hour == self.until else min(hour, _LAST_HOUR) + timedelta(hours=1)

    @property
    def whole_days(self) -> tuple[datetime, datetime]:
        """The whole days of UTC between `first_hour` and `end_hour`, as the first's beginning and the last's end.

        Without one, both are `end_hour`.
        """
        first, end = self.first_hour.replace(hour=0), self.end_hour.replace(hour=0)
        if first != self.first_hour:
            first = min(first, _LAST_DAY) + timedelta(days=1)
        return (first, end) if first < end else (self.end_hour, self.end_hour)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What some calls came to. `cost_nano` sums the calls whose price was known; latencies are None of no calls."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    latency_p50_ms: int | None
    latency_p95_ms: int | None

    def document(self) -> dict[str, object]:
        """The form outside."""
        return {
            "requests": self.requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": usd(self.cost_nano),
            "latency_p50_ms": self.latency_p50_ms,
            "latency_p95_ms": self.latency_p95_ms,
        }


NO_CALLS: Final = Usage(
    requests=0, input_tokens=0, output_tokens=0, cost_nano=0, latency_p50_ms=None, latency_p95_ms=None
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group; `key` None is that of the rows that name none. `label` is what a project or an agent is called."""

    key: str | None
    usage: Usage
    label: str | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """A page of groups, in the order of their keys, and the total of all."""

    query: UsageQuery
    groups: tuple[Group, ...]
    has_more: bool
    total: Usage

    def document(self) -> dict[str, object]:
        """The form outside."""
        following = Cursor(group_by=self.query.group_by, key=self.groups[-1].key).written() if self.has_more else None
        return {
            "from": written(self.query.since),
            "to": written(self.query.until),
            "group_by": self.query.group_by.value,
            "data": [self._row(group) for group in self.groups],
            "total": self.total.document(),
            "has_more": self.has_more,
            "next": following,
        }

    def _row(self, group: Group) -> dict[str, object]:
        name = {"name": group.label} if self.query.group_by in _NAMED else {}
        return {"key": group.key, **name, **group.usage.document()}


def usage_query(parameters: Mapping[str, str], now: datetime, groups: Sequence[GroupBy] = OF_PROJECTS) -> UsageQuery:
    """Read the query of a usage address (names as in `PARAMETERS`), by one of `groups`; raises `Invalid`.

    Absent: `to` is now, `from` the start of that month (UTC), `group_by` day, `limit` 50.
    """
    findings = Findings()
    until = findings.take(lambda: _moment(parameters, "to", now), now)
    month = until.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = findings.take(lambda: _moment(parameters, "from", month), month)
    if since > until:
        findings.add("from", "must not be after to")
    group_by = findings.take(lambda: _group_by(parameters.get("group_by", GroupBy.DAY), groups), GroupBy.DAY)
    after = parameters.get("after")
    query = UsageQuery(
        since=since,
        until=until,
        group_by=group_by,
        limit=findings.take(lambda: read_limit(parameters.get("limit")), DEFAULT_LIMIT),
        after=None if after is None else findings.take(lambda: Cursor.read(after, group_by), None),
    )
    findings.or_raise()
    return query


def _moment(parameters: Mapping[str, str], name: str, otherwise: datetime) -> datetime:
    text = parameters.get(name)
    if text is None:
        return otherwise
    moment = read_moment(text)
    if moment is None:
        raise invalid(name, "must be a moment by RFC 3339, such as 2026-11-21T00:00:00Z")
    return moment


def _group_by(text: str, groups: Sequence[GroupBy]) -> GroupBy:
    for group in groups:
        if group == text:
            return group
    raise invalid("group_by", f"must be one of {', '.join(groups)}")
