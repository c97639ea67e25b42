"""Buckets brought back from a record of the calls that were admitted, read in slices, oldest first. Pure and exact.

Whatever is in a bucket, calls make of its `drained_at` the later of two: what they cost more, and what the same calls
leave in an empty bucket. So of a slice two numbers a subject are needed, and one is carried to the next.

How full a bucket was where the reading begins is not on record: it is taken to have been full, two windows ago (a
window is `burst` intervals, in which a full bucket drains). Guarantees, for calls under the present limit:

- no bucket comes back emptier than its calls left it;
- it comes back exactly as it was if it had at most `burst` in the two windows, which is half of what it may;
- a bucket that was busier may come back fuller, never more than full: its caller keeps the rate, and misses some of the
  burst until time has paid for it.

Requests under an earlier, wider limit count as at most the `burst` of the present one. Tokens count as what was used,
at the time when the call ended, since by then at the latest they were charged: a debt beyond the limit comes back as
one, but for what is left of one that was made more than two windows ago. A call that is still open, or was lost, counts
with what it was admitted for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, final

from bailiwick.domain.limits import Rate, Stored, Unit

_US: Final = 1_000
_WINDOWS: Final = 2


@final
class Arrivals(NamedTuple):
    """What one subject did in one slice."""

    subject: str | None
    """As in a bucket's key; None for calls that are in no bucket of the level."""
    calls: int
    cost: int
    """Of all of them: as many as they are, or their tokens."""
    drained_at: int
    """What these calls leave in a bucket that was empty, as in `Stored`."""
    last_us: int
    """When the last of them was, in microseconds since the epoch."""


@final
class Replay:
    """Replays the calls of one level of one project, in one unit."""

    def __init__(self, rate: Rate, unit: Unit, now_ns: int) -> None:
        """Begin two windows before `now_ns`, or at the epoch, before which nobody called."""
        self._rate = rate
        self._beyond = unit is Unit.TOKENS
        window_ns = -(-rate.tolerance // rate.ticks)
        self.begin_us: Final = max(0, now_ns - _WINDOWS * window_ns) // _US
        self.read_us = self.begin_us
        """Every call up to here has been taken in."""
        self._at_begin = self.begin_us * _US * rate.ticks + rate.tolerance if self.begin_us else 0
        self._drained_at: dict[str, int] = {}

    def take(self, arrivals: Iterable[Arrivals]) -> None:
        """Take in the next slice: every call since `read_us`, up to some moment after it."""
        interval, ticks, tolerance = self._rate.interval, self._rate.ticks, self._rate.tolerance
        carried, at_begin = self._drained_at, self._at_begin
        for subject, _, cost, alone, last_us in arrivals:
            self.read_us = max(self.read_us, last_us)
            if subject is not None:
                drained_at = max(carried.get(subject, at_begin) + cost * interval, alone)
                # The last one was admitted: it left no more than the tolerance, unless it was corrected to more.
                carried[subject] = drained_at if self._beyond else min(drained_at, last_us * _US * ticks + tolerance)

    def debts(self, now_ns: int) -> Iterator[tuple[str, Stored]]:
        """The buckets that are in debt at `now_ns`, by subject."""
        for subject, drained_at in self._drained_at.items():
            if drained_at > now_ns * self._rate.ticks:
                yield subject, (drained_at, 0, now_ns, self._rate)
