"""What charts show: a report's groups as points of time, with the hours and days in which nobody called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from bailiwick.domain.paging import MAX_LIMIT
from bailiwick.domain.refusals import RefusalsReport, step_of
from bailiwick.domain.usage_report import NO_CALLS, GroupBy, Usage, UsageQuery, UsageReport

NANO: Final = 1_000_000_000
_OTHERS: Final = "others"
_NOTHING: Final = "\N{EN DASH}"
_STEPS: Final = {GroupBy.HOUR: timedelta(hours=1), GroupBy.DAY: timedelta(days=1)}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of time that can be chosen, and in what it is cut."""

    name: str
    label: str
    length: timedelta
    by: GroupBy

    @property
    def step(self) -> timedelta:
        """How long a point of a chart is."""
        return _STEPS[self.by]

    def query(self, now: datetime, by: GroupBy | None = None, limit: int = MAX_LIMIT) -> UsageQuery:
        """What it asks of usage; whole steps, the one that has just begun included."""
        return UsageQuery(since=self.since(now), until=now, group_by=by or self.by, limit=limit)

    def since(self, now: datetime) -> datetime:
        """When it begins."""
        start = now.replace(minute=0, second=0, microsecond=0)
        start = start if self.by is GroupBy.HOUR else start.replace(hour=0)
        return start - self.length + self.step


SPANS: Final = (
    Span(name="24h", label="24 hours", length=timedelta(hours=24), by=GroupBy.HOUR),
    Span(name="7d", label="7 days", length=timedelta(days=7), by=GroupBy.HOUR),
    Span(name="30d", label="30 days", length=timedelta(days=30), by=GroupBy.DAY),
    Span(name="90d", label="90 days", length=timedelta(days=90), by=GroupBy.DAY),
)


def span_named(name: str) -> Span:
    """The span that an address names; a week for any other."""
    return next((span for span in SPANS if span.name == name), SPANS[1])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or row of bars. `colour` is a class of the stylesheet."""

    label: str
    colour: str
    values: Sequence[float | None]
    kind: str = "bars"
    fill: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One chart; `data` is what the script reads."""

    id: str
    title: str
    unit: str
    points: Sequence[datetime]
    step: timedelta
    series: Sequence[Series]
    stacked: bool = False

    @property
    def by_the_hour(self) -> bool:
        """Whether a point is less than a day."""
        return self.step < timedelta(days=1)

    @property
    def rows(self) -> Sequence[tuple[str, Sequence[float | str]]]:
        """As a table: what is at each point at which there is anything, the last first."""
        form = "%d %b %H:%M" if self.by_the_hour else "%d %b %Y"
        cut = [one.values for one in self.series]
        found = [(point, at) for point, *at in zip(self.points, *cut, strict=True) if any(at)]
        return [
            (point.strftime(form), [_NOTHING if value is None else value for value in at])
            for point, at in reversed(found)
        ]

    @property
    def data(self) -> dict[str, object]:
        """As the script knows it: times in Unix seconds."""
        return {
            "x": [int(point.timestamp()) for point in self.points],
            "step": int(self.step.total_seconds()),
            "unit": self.unit,
            "stacked": self.stacked,
            "series": [
                {"label": one.label, "colour": one.colour, "values": one.values, "kind": one.kind, "fill": one.fill}
                for one in self.series
            ],
        }


def usage_charts(report: UsageReport, span: Span) -> list[Chart]:
    """Requests, tokens, cost and latency over time."""
    points = _points(report.query, span)
    found = {_moment(group.key): group.usage for group in report.groups if group.key}
    usages = [found.get(point, NO_CALLS) for point in points]

    def of(read: Callable[[Usage], float | None]) -> list[float | None]:
        return [read(usage) for usage in usages]

    def chart(id_: str, title: str, unit: str, *series: Series, stacked: bool = False) -> Chart:
        return Chart(id=id_, title=title, unit=unit, points=points, step=span.step, series=series, stacked=stacked)

    p95 = Series(label="p95", colour="series-2", values=of(lambda u: u.latency_p95_ms), kind="line")
    p50 = Series(label="p50", colour="series-1", values=of(lambda u: u.latency_p50_ms), kind="line", fill=True)
    return [
        chart("requests", "Requests", "count", Series(label="Requests", colour="series-1", values=of(_requests))),
        chart(
            "tokens",
            "Tokens",
            "count",
            Series(label="Written", colour="series-2", values=of(lambda u: u.output_tokens)),
            Series(label="Read", colour="series-1", values=of(lambda u: u.input_tokens)),
            stacked=True,
        ),
        chart("cost", "Cost", "usd", Series(label="Cost", colour="series-1", values=of(lambda u: u.cost_nano / NANO))),
        chart("latency", "Latency", "ms", p50, p95),
    ]


_REFUSAL_COLOURS: Final = ("series-bad", "series-warn", "series-2", "series-1")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Refused calls of a span: how many with each code, the most frequent first, and a chart of them."""

    codes: Sequence[tuple[str, int]]
    chart: Chart

    @property
    def total(self) -> int:
        """How many they were."""
        return sum(count for _, count in self.codes)


def refusals_shown(report: RefusalsReport) -> Refusals:
    """Refused calls over time, by code; of more codes than there are colours the rest is one."""
    step = timedelta(hours=1) if step_of(report.query) == "hour" else timedelta(days=1)
    start = report.query.first_hour
    points = steps(start if step < timedelta(days=1) else start.replace(hour=0), report.query.until, step)
    totals: Counter[str] = Counter()
    at: Counter[tuple[str, datetime]] = Counter()
    for count in report.counts:
        totals[count.code] += count.requests
    codes = totals.most_common()
    named = [code for code, _ in codes[: len(_REFUSAL_COLOURS) - (len(codes) > len(_REFUSAL_COLOURS))]]
    for count in report.counts:
        at[count.code if count.code in named else _OTHERS, count.at] += count.requests
    labels = [*named, *([_OTHERS] if len(named) < len(codes) else [])]
    series = [
        Series(label=label, colour=colour, values=[at[label, point] for point in points])
        for label, colour in zip(labels, _REFUSAL_COLOURS, strict=False)
    ]
    chart = Chart(
        id="refusals", title="Refused calls", unit="count", points=points, step=step, series=series, stacked=True
    )
    return Refusals(codes=codes, chart=chart)


def _requests(usage: Usage) -> float:
    return usage.requests


def _points(query: UsageQuery, span: Span) -> list[datetime]:
    return steps(query.since, query.until, span.step)


def steps(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """When each point of a span begins."""
    points = [since]
    while points[-1] + step < until:
        points.append(points[-1] + step)
    return points


def _moment(key: str) -> datetime:
    """When an hour or a day began, as reports name it."""
    return datetime.fromisoformat(key).replace(tzinfo=UTC)
