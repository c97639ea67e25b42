"""Tells webhooks of each hour of usage: once it is over and its calls are settled, and again when it has changed since.

What is told is what the ledger says of the hour, all of it, in pages: a later revision takes the place of those before,
so that whoever receives them adds up nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from bailiwick.domain import ids
from bailiwick.domain.ids import TenantId
from bailiwick.domain.money import usd
from bailiwick.domain.times import written
from bailiwick.domain.webhooks import Event, Happened, event_body, event_id
from bailiwick.services.acts import Acts
from bailiwick.services.telling import tell
from bailiwick.storage import usage_hours
from bailiwick.storage.scope import Database
from bailiwick.storage.usage_hours import TOKENS, HourRow

_HOUR: Final = timedelta(hours=1)
# How far clocks of gateways may be apart, and a call may be on its way into the ledger.
_GRACE: Final = timedelta(minutes=5)
# How long after its end an hour waits for calls that are still open: what they come to is a revision.
_PATIENCE: Final = timedelta(hours=1)
_AT_ONCE: Final = 20
_ROWS_A_PAGE: Final = 1_000


async def tell_hours(database: Database, acts: Acts) -> None:
    """Have webhooks told of what is due; nothing while others count. Raises `Unavailable`."""
    more = True
    while more:
        async with database.operating() as scope:
            if not await usage_hours.take_turn(scope):
                return
            now = acts.now()
            ended = now - _HOUR - _GRACE
            due = await usage_hours.due(scope, ended=ended, late=ended - _PATIENCE, most=_AT_ONCE)
            for tenant_id, hour in due:
                rows = await usage_hours.read(scope, tenant_id, hour)
                revision = await usage_hours.note_told(scope, tenant_id, hour)
                happened = partial(_happened, hour, revision, rows, now)
                await tell(scope, acts, Event.USAGE_HOUR, [tenant_id], happened)
        more = len(due) == _AT_ONCE


def _happened(
    hour: datetime, revision: int, rows: Sequence[HourRow], now: datetime, tenant_id: TenantId
) -> list[Happened]:
    """An event for each page of an hour, of which there is one at least."""
    pages = [rows[start : start + _ROWS_A_PAGE] for start in range(0, len(rows), _ROWS_A_PAGE)] or [rows]
    whole: dict[str, object] = {
        "tenant_id": ids.shown(ids.TENANT, tenant_id),
        "start": written(hour),
        "end": written(hour + _HOUR),
        "revision": revision,
        "pages": len(pages),
        "total": _amounts(rows),
    }
    return [
        Happened(
            id=event_id(Event.USAGE_HOUR, tenant_id, whole["start"], revision, number),
            tenant_id=tenant_id,
            event=Event.USAGE_HOUR,
            body=event_body(Event.USAGE_HOUR, now, {**whole, "page": number, "rows": [_row(row) for row in page]}),
        )
        for number, page in enumerate(pages, 1)
    ]


def _row(row: HourRow) -> dict[str, object]:
    # Project and user in this order: so `erasure.sql` finds them.
    named = {"project_id": ids.shown(ids.PROJECT, row.project_id), "user_id": row.uid, "model": row.model}
    return {**named, **_amounts([row])}


def _amounts(rows: Sequence[HourRow]) -> dict[str, object]:
    tokens = {kind: sum(row.tokens[place] for row in rows) for place, kind in enumerate(TOKENS)}
    cost = sum(row.cost_nano for row in rows)
    return {"requests": sum(row.requests for row in rows), **tokens, "cost_usd": usd(cost)}
