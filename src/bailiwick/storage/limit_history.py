"""What the ledger remembers of limits that a process has forgotten: it opened one row for each call it admitted."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.limit_replay import Arrivals
from bailiwick.domain.limits import LimitLevel, Rate, Unit
from bailiwick.storage.scope import LONG_SECONDS, Database
from bailiwick.storage.sql import load

_SQL: Final = load("limit_history")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# If each call has a subject of its own, a slice keeps the event loop for some 30 ms; else for next to nothing.
_CALLS: Final = 5_000
# Of the connections that every call depends on, so many at once.
_AT_ONCE: Final = 2


@final
class LimitHistory:
    """Reads, as a tenant, the calls of one of its projects, in slices."""

    def __init__(self, database: Database, *, calls: int = _CALLS) -> None:
        """`calls` is the size of a slice, but for calls of the same microsecond, which are never parted."""
        self._database = database
        self._calls = calls
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def arrivals(
        self, tenant_id: TenantId, project_id: ProjectId, counted: tuple[LimitLevel, Unit], rate: Rate, since_us: int
    ) -> tuple[list[Arrivals], bool]:
        """The next slice after `since_us`, and whether it may not be the last; raises `Unavailable`.

        Addresses are not in the ledger: there is nothing to ask for about the level `ip`.
        """
        level, unit = counted
        params = {
            "tenant": tenant_id,
            "project": project_id,
            "level": level.value,
            "unit": unit.value,
            "ticks": rate.ticks,
            "interval": rate.interval,
            "since": _EPOCH + timedelta(microseconds=since_us),
            "calls": self._calls,
        }
        async with self._turns, self._database.reading(tenant_id, seconds=LONG_SECONDS) as scope:
            rows = await scope.fetch_all(_SQL["arrivals"], params)
        found = [
            Arrivals(row["subject"], row["calls"], int(row["cost"]), int(row["drained_at"]), row["last_us"])
            for row in rows
        ]
        return found, sum(arrivals.calls for arrivals in found) >= self._calls
