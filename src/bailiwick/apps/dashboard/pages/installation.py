"""What the whole installation used and was refused: over time, and by tenant. For its operators alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.charts import NANO, SPANS, Chart, Series, span_named, steps
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.usage_of_all import NOTHING, Amounts, InstallationUsage
from bailiwick.domain.usage_report import GroupBy


async def show_installation(visit: Visit) -> Response:
    """All tenants' usage in a span."""
    span = span_named(visit.asked("range"))
    # A day or less by the hour, and whole days beyond: nothing then takes reading more than is shown.
    by = GroupBy.HOUR if span.length <= timedelta(days=1) else GroupBy.DAY
    now = visit.plane.acts.now()
    since = span.since(now) if by is GroupBy.HOUR else span.since(now).replace(hour=0)
    step = timedelta(hours=1) if by is GroupBy.HOUR else timedelta(days=1)
    points = steps(since, now, step)
    used = await visit.plane.usage_of_all.read(visit.actor, since, points[-1] + step, by)
    values = {"total": used.total, "charts": _charts(used, points, step), "used": used.tenants}
    return visit.show("overview/installation.html", spans=SPANS, span=span, **values)


def _charts(used: InstallationUsage, points: Sequence[datetime], step: timedelta) -> list[Chart]:
    amounts = [used.over_time.get(point, NOTHING) for point in points]

    def series(label: str, colour: str, read: Callable[[Amounts], float]) -> Series:
        return Series(label=label, colour=colour, values=[read(one) for one in amounts])

    def chart(id_: str, title: str, unit: str, *shown: Series, stacked: bool = False) -> Chart:
        return Chart(id=id_, title=title, unit=unit, points=points, step=step, series=shown, stacked=stacked)

    written = series("Written", "series-2", lambda one: one.output_tokens)
    read = series("Read", "series-1", lambda one: one.input_tokens)
    return [
        chart("requests", "Requests", "count", series("Requests", "series-1", lambda one: one.requests)),
        chart("tokens", "Tokens", "count", written, read, stacked=True),
        chart("cost", "Cost", "usd", series("Cost", "series-1", lambda one: one.cost_nano / NANO)),
        chart("refused", "Refused calls", "count", series("Refused", "series-bad", lambda one: one.refused)),
    ]


PAGES: Final = (Page(path="/installation", handler=show_installation, needs=AdminPermission.PLATFORM_USAGE_READ),)
