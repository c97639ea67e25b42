"""The buckets of one project after a crash, rebuilt from the ledger.

It always comes to an end: the calls are read in slices of bounded size, and what was read is kept, so that a database
that is away for a while, or slow, delays it and does not set it back. What the buckets then hold is said in
`bailiwick.domain.limit_replay`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from bailiwick.domain.durations import SECOND
from bailiwick.domain.limit_replay import Replay
from bailiwick.domain.limits import LimitLevel
from bailiwick.domain.principal import Grant
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.storage.limit_history import LimitHistory

_US: Final = 1_000
_BUCKETS_AT_ONCE: Final = 1_000
_LONGEST_SECONDS: Final = 60


@final
class LimitRebuild:
    """Rebuilds the buckets of one project; nothing of the project is admitted before the end."""

    def __init__(
        self, store: InProcessLimitStore, history: LimitHistory, grant: Grant, now_ns: Callable[[], int]
    ) -> None:
        """`grant` is of the project; its limits are those that are asked for."""
        self._store = store
        self._history = history
        self._grant = grant
        self._now_ns = now_ns
        self._began_ns = now_ns()
        self._levels = [
            (level, unit, rate, Replay(rate, unit, self._began_ns))
            for level, unit, rate in grant.limits.rates
            if level is not LimitLevel.IP
        ]
        self._done = 0
        self._spent_ns = 0

    async def run(self) -> None:
        """Go on to the end; raises `Unavailable`, and can then be called again."""
        while self._done < len(self._levels):
            started_ns = self._now_ns()
            more = await self._read_slice()
            self._spent_ns += self._now_ns() - started_ns
            self._done += not more
        for level, unit, _, replay in self._levels:
            now_ns = self._now_ns()
            for number, (subject, stored) in enumerate(replay.debts(now_ns)):
                self._store.raise_to((level, unit, self._grant.bucket, subject), stored, now_ns)
                if number % _BUCKETS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        self._store.remember(self._grant.bucket)

    def seconds_left(self) -> int:
        """About how long it will still take, if the calls are spread evenly over the time that is read."""
        whole = read = 0
        for place, (_, _, _, replay) in enumerate(self._levels):
            span = self._began_ns // _US - replay.begin_us
            whole += span
            read += span if place < self._done else replay.read_us - replay.begin_us
        if read <= 0:
            return 1
        left = -(-self._spent_ns * (whole - read) // (read * SECOND))
        return max(1, min(left, _LONGEST_SECONDS))

    async def _read_slice(self) -> bool:
        grant, (level, unit, rate, replay) = self._grant, self._levels[self._done]
        arrivals, more = await self._history.arrivals(
            grant.tenant_id, grant.project_id, (level, unit), rate, replay.read_us
        )
        replay.take(arrivals)
        return more
