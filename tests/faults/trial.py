"""How long a trial is, and waiting for what must come about."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Final

import psycopg

PROVE: Final = bool(os.environ.get("PROVE"))
_POLL: Final = 0.02


def times(full: int, short: int | None = None) -> int:
    """How often something is done: `full` when PROVE is set, else `short`, a tenth of it if not given."""
    return full if PROVE else (short if short is not None else max(1, full // 10))


def seconds(full: float, short: float) -> float:
    """How long something is done."""
    return full if PROVE else short


async def eventually(predicate: Callable[[], object], within: float, what: str) -> float:
    """Wait until `predicate` holds; returns how long that took. A database that is away does not hold.

    By as much as the pauses between two looks are late, the machine is, and that is waited for too.
    """
    began, late = time.monotonic(), 0.0
    while True:
        try:
            if await asyncio.to_thread(predicate):
                return time.monotonic() - began
        except psycopg.OperationalError:
            pass
        looked = time.monotonic()
        assert looked - began < within + late, f"not within {within} s: {what}"
        await asyncio.sleep(_POLL)
        late += time.monotonic() - looked - _POLL
