"""An event loop on which time passes only while everybody sleeps, and then at once.

Whoever sleeps wakes at exactly the moment it asked for, however slow the machine is; so what a test says of times is
exact, and takes none. For what waits by the loop's clock alone: threads, sockets and processes have another.
"""

from __future__ import annotations

import asyncio
from selectors import DefaultSelector, SelectorKey
from typing import final

_EPOCH_NS = 1_700_000_000_000_000_000


class _Leaping(DefaultSelector):  # type: ignore[misc,valid-type]  # which class it is depends on the system
    """Instead of waiting for a time, lets it pass."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        ready: list[tuple[SelectorKey, int]] = super().select(None if timeout is None else 0)
        if not ready and timeout is not None:
            self.passed += timeout
        return ready


@final
class VirtualTime(asyncio.SelectorEventLoop):
    """The loop; its time begins at 0."""

    def __init__(self) -> None:
        self._leaping = _Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        """The seconds that have passed."""
        return self._leaping.passed

    def let_pass(self, seconds: float) -> None:
        """Let time pass in which nobody runs."""
        self._leaping.passed += seconds


def running() -> VirtualTime:
    """The loop that runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTime)
    return loop


def now_ns() -> int:
    """Its time as a clock has it, in nanoseconds since the epoch."""
    return _EPOCH_NS + round(running().time() * 1_000_000_000)
