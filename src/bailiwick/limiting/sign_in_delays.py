"""How long somebody waits who keeps getting it wrong: twice as long each time, and nobody else because of them.

    delays = Delays(free=3, longest=900, now=monotonic)
    delays.begin((account, network))       # counted as wrong, until it is known to be right; raises TooSoon
    delays.succeeded((account, network))

An attempt counts from its beginning, so many at once are no way around. Whoever guesses at an account delays
themselves: the account's person, who comes from elsewhere, has a count of their own. Bounded: the counts that were not
touched for longest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Final, TypeAlias, final

Key: TypeAlias = tuple[str, ...]
_FORGET_SECONDS: Final = 3600.0
_MOST_KEYS: Final = 20_000
_MOST_DOUBLINGS: Final = 20


class TooSoon(Exception):
    """This attempt was not made; the next one may be in `seconds`."""

    def __init__(self, seconds: int) -> None:
        """At least one second."""
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(slots=True)
class _Count:
    wrong: int
    last: float


@final
class Delays:
    """Counts of wrong attempts, each with the moment of the last. In memory: a restart forgets them."""

    def __init__(self, *, free: int, longest: float, now: Callable[[], float]) -> None:
        """After `free` wrong attempts a second's wait, then two, four, up to `longest` seconds; `now` is steady."""
        self._free = free
        self._longest = longest
        self._now = now
        self._counts: OrderedDict[Key, _Count] = OrderedDict()

    def begin(self, key: Key) -> None:
        """Count an attempt as a wrong one; raises `TooSoon` if it has to wait, and then does not count it."""
        now = self._now()
        count = self._counts.get(key)
        if count is None or now - count.last > _FORGET_SECONDS:
            count = self._counts[key] = _Count(wrong=0, last=now)
        elif (wait := count.last + self._wait(count.wrong) - now) > 0:
            raise TooSoon(ceil(wait))
        count.wrong += 1
        count.last = now
        self._counts.move_to_end(key)
        while len(self._counts) > _MOST_KEYS:
            self._counts.popitem(last=False)

    def succeeded(self, key: Key) -> None:
        """Forget what was wrong before."""
        self._counts.pop(key, None)

    def forgive(self, key: Key) -> None:
        """Take back one attempt, and leave the others counted."""
        count = self._counts.get(key)
        if count is not None:
            count.wrong = max(0, count.wrong - 1)

    def _wait(self, wrong: int) -> float:
        if wrong < self._free:
            return 0.0
        return min(self._longest, float(2 ** min(wrong - self._free, _MOST_DOUBLINGS)))
