"""Buckets brought back from a record of the calls that were admitted, read in slices, oldest first. Pure and exact.

Whatever is in a bucket, n calls make of its `drained_at` the later of two: n intervals more, and what the same calls
leave in an empty bucket. So of a slice two numbers a subject are needed, and one is carried to the next.

How full a bucket was where the reading begins is not on record: it is taken to have been full, two windows ago (a
window is `burst` intervals, in which a full bucket drains). Guarantees, for calls under the present limit:

- no bucket comes back emptier than it was;
- it comes back exactly as it was if it had at most `burst` calls in the two windows, which is half of what it may;
- a bucket that was busier may come back fuller, never more than full: its caller keeps the rate, and misses some of the
  burst until time has paid for it.

Calls under an earlier, wider limit count as at most the `burst` of the present one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, final

from bailiwick.domain.limits import RequestLimit, Stored

_US: Final = 1_000
_WINDOWS: Final = 2


@final
class Arrivals(NamedTuple):
    """What one subject did in one slice."""

    subject: str | None
    """As in a bucket's key; None for calls that are in no bucket of the level."""
    calls: int
    drained_at: int
    """What these calls leave in a bucket that was empty, as in `Stored`."""
    last_us: int
    """When the last of them was, in microseconds since the epoch."""


@final
class Replay:
    """Replays the calls of one level of one project."""

    def __init__(self, limit: RequestLimit, now_ns: int) -> None:
        """Begin two windows before `now_ns`, or at the epoch, before which nobody called."""
        self._limit = limit
        window_ns = -(-limit.tolerance // limit.ticks)
        self.begin_us: Final = max(0, now_ns - _WINDOWS * window_ns) // _US
        self.read_us = self.begin_us
        """Every call up to here has been taken in."""
        self._at_begin = self.begin_us * _US * limit.ticks + limit.tolerance if self.begin_us else 0
        self._drained_at: dict[str, int] = {}

    def take(self, arrivals: Iterable[Arrivals]) -> None:
        """Take in the next slice: every call since `read_us`, up to some moment after it."""
        interval, ticks, tolerance = self._limit.interval, self._limit.ticks, self._limit.tolerance
        carried, at_begin = self._drained_at, self._at_begin
        for subject, calls, alone, last_us in arrivals:
            self.read_us = max(self.read_us, last_us)
            if subject is not None:
                drained_at = max(carried.get(subject, at_begin) + calls * interval, alone)
                # The last one was admitted: it left no more than the tolerance.
                carried[subject] = min(drained_at, last_us * _US * ticks + tolerance)

    def debts(self, now_ns: int) -> Iterator[tuple[str, Stored]]:
        """The buckets that are in debt at `now_ns`, by subject."""
        for subject, drained_at in self._drained_at.items():
            if drained_at > now_ns * self._limit.ticks:
                yield subject, (drained_at, 0, now_ns, self._limit)
