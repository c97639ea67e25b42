"""The clock, randomness and ids of a process. Everything else gets them as parameters."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Final, final

from bailiwick.domain.ids import uuid7_hex


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds of a clock that is never set."""
    return time.monotonic()


def monotonic_ns() -> int:
    """The same, in nanoseconds."""
    return time.monotonic_ns()


def entropy(size: int) -> bytes:
    """So many bytes that nobody can guess."""
    return os.urandom(size)


@final
class NewId:
    """Makes UUIDv7s, as 32 hex digits. Randomness is drawn for many at once: each draw is a system call."""

    __slots__ = ("_drawn", "_used")

    _DIGITS_EACH: Final = 20
    _BYTES_AT_ONCE: Final = 4000

    def __init__(self) -> None:
        self._drawn = ""
        self._used = 0

    def __call__(self) -> str:
        """Make one."""
        start = self._used
        if start >= len(self._drawn):
            self._drawn, start = os.urandom(self._BYTES_AT_ONCE).hex(), 0
        self._used = start + self._DIGITS_EACH
        return uuid7_hex(time.time_ns() // 1_000_000, self._drawn[start : self._used])


new_id = NewId()


@final
class SteadyClock:
    """Unix time in nanoseconds that never goes back: the wall clock at its making, and what has passed since.

    For limits: a wall clock that is set back would stop every bucket from draining until it has caught up.
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Tell the time."""
        return time.monotonic_ns() + self._offset
