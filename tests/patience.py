"""How long something may take, in time that the machine had.

A machine that is busy with other things looks late. A look that is late counts as one that is not, so a promise of a
second is tested with its second where there is room, and with as many looks where there is none.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, final

# How long a look and the pause before it take, at most, on a machine with room.
_LOOK: Final = 0.05
# However busy the machine: so many times as long by the clock, and no longer.
_AT_MOST: Final = 5.0
_BEAT: Final = 0.01


@final
class Patience:
    """So many seconds from now on, for whoever asks again and again whether they are over."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._seen = time.monotonic()
        self._ends: Final = self._seen + _AT_MOST * seconds

    def over(self) -> bool:
        """Whether they are; asked once a look."""
        now = time.monotonic()
        self._left -= min(now - self._seen, _LOOK)
        self._seen = now
        return self._left <= 0 or now >= self._ends


@final
@dataclass(slots=True)
class Lag:
    """How much time an event loop, or this process, was late by, in seconds."""

    seconds: float = 0.0


@asynccontextmanager
async def loop_lag() -> AsyncIterator[Lag]:
    """Measure it from entering the block on, by a task that does nothing but sleep."""
    lag = Lag()

    async def sleep() -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_BEAT)
            lag.seconds += time.monotonic() - began - _BEAT

    sleeping = asyncio.create_task(sleep())
    try:
        yield lag
    finally:
        sleeping.cancel()


@contextmanager
def process_lag() -> Iterator[Lag]:
    """Measure it from entering the block on, by a thread that does nothing but sleep."""
    lag, over = Lag(), threading.Event()

    def sleep() -> None:
        began = time.monotonic()
        while not over.wait(_BEAT):
            now = time.monotonic()
            lag.seconds += now - began - _BEAT
            began = now

    sleeping = threading.Thread(target=sleep, daemon=True)
    sleeping.start()
    try:
        yield lag
    finally:
        over.set()
        sleeping.join()
