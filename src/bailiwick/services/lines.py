"""Lines of calls for whom a budget has no room yet, because other calls in flight hold it.

Whoever came first is let try first; each call that settles lets one more of those try that stand for what it held. What
other processes settle is not told here, so the first of each line also tries now and then unasked. Guarantees:

- whoever stands in a line holds nothing, and leaves it when cancelled; who leaves lets the next one try;
- nobody waits for longer than the budgets that refuse allow, and all who give up have tried last thing before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self, TypeAlias, final

from bailiwick.domain.metering import Need

# How soon the room is noticed that another process gave back.
_POLL_SECONDS: Final = 0.05
_MOST: Final = 10_000

_Key: TypeAlias = tuple[int, str, str]

_WOKEN: Final = asyncio.Event()
_WOKEN.set()


def _key(need: Need) -> _Key:
    """Without the slice: the next window may begin while somebody waits."""
    return need.budget_id.int, need.counted, need.subject


@final
class _Line:
    """Who waits for one budget, in the order in which they came."""

    __slots__ = ("poll", "turns")

    def __init__(self) -> None:
        self.turns: dict[Turn, None] = {}
        self.poll: asyncio.TimerHandle | None = None

    def wake(self) -> None:
        """Let the first one try who does not yet."""
        for turn in self.turns:
            if not turn.woken.is_set():
                turn.woken.set()
                return

    def look(self) -> None:
        """Let the first of all try, now and then."""
        self.poll = asyncio.get_running_loop().call_later(_POLL_SECONDS, self.look)
        next(iter(self.turns)).woken.set()


@final
class Lines:
    """The lines of one process. Belongs to one event loop."""

    def __init__(self) -> None:
        self._lines: dict[_Key, _Line] = {}
        self.waiting = 0
        """How many calls wait."""

    def turn(self) -> Turn:
        """A place in line for one call, as a context: when it ends the place is free."""
        return Turn(self)

    def freed(self, needs: Sequence[Need]) -> None:
        """Something was given back of what is held of these."""
        if self._lines:
            for need in needs:
                line = self._lines.get(_key(need))
                if line is not None:
                    line.wake()

    def first_waited_for(self, needs: Sequence[Need]) -> int | None:
        """The place of the first of `needs` that others wait for; None if they wait for none."""
        if not self._lines:
            return None
        return next((place for place, need in enumerate(needs) if _key(need) in self._lines), None)

    def join(self, need: Need, turn: Turn) -> _Key | None:
        """Have `turn` stand for `need`, at the end of the line unless it stands there; None: there is no place."""
        key = _key(need)
        if turn.key == key:
            return key
        self.leave(turn)
        if self.waiting >= _MOST:
            return None
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
            line.poll = asyncio.get_running_loop().call_later(_POLL_SECONDS, line.look)
        line.turns[turn] = None
        self.waiting += 1
        return key

    def leave(self, turn: Turn) -> None:
        """Let a call go that stands somewhere, and the next one try."""
        if turn.key is None:
            return
        line = self._lines[turn.key]
        del line.turns[turn]
        self.waiting -= 1
        if line.turns:
            line.wake()
        else:
            del self._lines[turn.key]
            if line.poll is not None:
                line.poll.cancel()


@final
class Turn:
    """One call's place, once it has to wait."""

    __slots__ = ("_began", "_lines", "_until", "key", "woken")

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._began: float | None = None
        self._until = 0.0
        self.key: _Key | None = None
        # Nearly nobody waits, and to make one takes a microsecond.
        self.woken = _WOKEN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.leave(self)
        self.key = None

    async def wait(self, need: Need, max_wait_ns: int) -> bool:
        """Wait until it is worth another try for `need`, or the time is over; False: it was over before, or no place.

        Counted from the first wait, and by the shortest of those that are given.
        """
        now = asyncio.get_running_loop().time()
        until = (now if self._began is None else self._began) + max_wait_ns / 1e9
        if self._began is None:
            self._began, self._until = now, until
        self._until = min(self._until, until)
        if self._until <= now:
            return False
        self.key = self._lines.join(need, self)
        if self.key is None:
            return False
        self.woken = asyncio.Event()
        try:
            async with asyncio.timeout_at(self._until):
                await self.woken.wait()
        except TimeoutError:
            self.woken.set()  # It tries for the last time, and is not to be counted on.
        return True
