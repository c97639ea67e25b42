"""How late the event loop is: what every call waits for, whatever it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bailiwick.telemetry.metrics import Metrics

_LOOK_SECONDS: Final = 0.25


async def watch_event_loop(metrics: Metrics, monotonic: Callable[[], float]) -> None:
    """Ask to be woken four times a second, and count how late that is; until cancelled.

    `monotonic` is in seconds; a loop's own clock may count in whole milliseconds.
    """
    while True:
        due = monotonic() + _LOOK_SECONDS
        await asyncio.sleep(_LOOK_SECONDS)
        metrics.late(monotonic() - due)
