"""Where calls wait that a limit refuses for now, and that may wait for their turn (`overflow: "queue"`).

First come first served for each end user, and in turn across the users of a project; calls that name no user stand in
one line a key. Guarantees:

- whoever comes while others wait for the same does not come before them; nobody's calls can starve another's;
- a call waits no longer than the levels that refuse it allow, and not at all when it can be foreseen that its turn
  would come later than that, or when there is no room;
- all waiting calls together take a bounded number of bytes, their bodies included: one project at most half of them,
  one user at most a third;
- leaving costs nothing, whether the client hangs up or its time is over;
- nobody polls: one task a project sleeps until the moment for which the arithmetic says that a bucket has drained, or
  until tokens were given back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, final

from bailiwick.domain.durations import MINUTE, SECOND
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.limits import Decision, LimitLevel, Unit
from bailiwick.domain.principal import Principal
from bailiwick.limiting.store import Charge, LimitStore
from bailiwick.telemetry.metrics import CALL_MS, Histogram

_MOST_BYTES: Final = 64 * 1024 * 1024
# What a waiting call takes beside its body: its task, its connection, what was read of it.
_CALL_BYTES: Final = 16 * 1024
# What was given back is looked at so often at most.
_NUDGE_SECONDS: Final = 0.05
# Event loops count in milliseconds, and may be early by one.
_TICK_SECONDS: Final = 0.001
_MS: Final = 1_000_000


@final
class _Waiting:
    """One call. `decided` becomes the decision that admits it, or that it may no longer wait."""

    __slots__ = ("charges", "decided", "max_waits", "tokens", "weight")

    def __init__(self, charges: Sequence[Charge], max_waits: Mapping[LimitLevel, int], weight: int) -> None:
        self.charges = charges
        self.max_waits = max_waits
        self.tokens = max((cost for key, _, cost in charges if key[1] is Unit.TOKENS), default=0)
        self.weight = weight
        self.decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()


@final
class _Line:
    """One user's calls. Until `held_until_ns` they are refused by a limit that is not everybody's; 0 if not so."""

    __slots__ = ("calls", "held_until_ns", "tokens", "weight")

    def __init__(self) -> None:
        self.calls: deque[_Waiting] = deque()
        self.held_until_ns = 0
        self.tokens = 0
        self.weight = 0


@final
class _Room:
    """One project's lines, whose turn is next first. `full`: the project's own limit refuses the next of them."""

    __slots__ = ("changed", "full", "held", "lines", "nudge", "task", "weight")

    def __init__(self) -> None:
        self.lines: OrderedDict[str, _Line] = OrderedDict()
        self.changed = asyncio.Event()
        self.full = False
        self.held = 0
        self.nudge: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.weight = 0

    def hold(self, line: _Line, until_ns: int) -> None:
        self.held += (until_ns > 0) - (line.held_until_ns > 0)
        line.held_until_ns = until_ns


@final
class WaitingRooms:
    """The waiting calls of one process. Belongs to one event loop."""

    def __init__(self, store: LimitStore, *, now_ns: Callable[[], int], most_bytes: int = _MOST_BYTES) -> None:
        """`now_ns` is Unix time; `most_bytes` bounds what all waiting calls take."""
        self._store = store
        self._now_ns = now_ns
        self._most = most_bytes
        self._taken = 0
        self._rooms: dict[str, _Room] = {}
        self.waits: Final[dict[str, Histogram]] = {
            "admitted": Histogram(CALL_MS),
            "refused": Histogram(CALL_MS),
            "left": Histogram(CALL_MS),
        }
        """How long calls have waited, in milliseconds, by how that ended: `left` is a client that was gone before."""

    def __len__(self) -> int:
        """How many calls wait."""
        return sum(len(line.calls) for room in self._rooms.values() for line in room.lines.values())

    def must_wait(self, principal: Principal) -> bool:
        """Whether others wait for the same as a call of `principal`, so that it has to stand behind them."""
        room = self._rooms.get(principal.grant.bucket)
        return room is not None and (room.full or _line_of(principal) in room.lines)

    async def wait(self, principal: Principal, charges: Sequence[Charge], size: int) -> Decision:
        """Wait for a turn; the decision admits the call, whose body has `size` bytes, or refuses it.

        Raises `Unavailable`. When cancelled, nothing is taken.
        """
        max_waits = principal.grant.limits.max_waits
        alone, _ = await self._store.foresee(charges, self._now_ns())
        if alone.retry_after_ns is None or not _may_wait(max_waits, alone):
            return alone
        room, line = self._place_of(principal)
        in_line = LimitLevel.KEY if principal.uid is None else LimitLevel.USER
        foreseen, wait_ns = await self._store.foresee(_behind(charges, room, line, in_line), self._now_ns())
        patience_ns = _patience_ns(max_waits, foreseen)
        room, line = self._place_of(principal)
        call = _Waiting(charges, max_waits, size + _CALL_BYTES)
        if not foreseen.admitted and (wait_ns > patience_ns or not self._fits(room, line, call)):
            return foreseen.told_to_wait(wait_ns)
        self._add(principal, room, line, call)
        began = self._now_ns()
        end = "refused"
        try:
            decision = await self._turn(call, patience_ns)
        except asyncio.CancelledError:
            end = "left"
            raise
        else:
            end = "admitted" if decision.admitted else "refused"
            return decision
        finally:
            self.waits[end].observe((self._now_ns() - began) // _MS)
            self._remove(principal, room, line, call)

    async def _turn(self, call: _Waiting, patience_ns: int) -> Decision:
        """Wait until it is a call's turn, or its time is over."""
        try:
            async with asyncio.timeout(patience_ns / SECOND):
                return await call.decided
        except TimeoutError:
            return _result(call) or await self._store.admit(call.charges, self._now_ns())
        except asyncio.CancelledError:
            decision = _result(call)
            if decision is not None and decision.admitted:
                await self._store.refund(call.charges, decision, self._now_ns())
            raise

    def freed(self, charges: Sequence[Charge]) -> None:
        """Something was given back of what was taken for these charges: some may pass earlier than was foreseen."""
        room = self._rooms.get(charges[0][0][2]) if charges and self._rooms else None
        if room is not None and room.nudge is None:
            room.nudge = asyncio.get_running_loop().call_later(_NUDGE_SECONDS, _let_try, room)

    async def aclose(self) -> None:
        """Let nobody in any more."""
        for task in [room.task for room in self._rooms.values() if room.task is not None]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _place_of(self, principal: Principal) -> tuple[_Room, _Line]:
        """Where a call would stand."""
        room = self._rooms.get(principal.grant.bucket) or _Room()
        return room, room.lines.get(_line_of(principal)) or _Line()

    def _fits(self, room: _Room, line: _Line, call: _Waiting) -> bool:
        """Whether there is room: the more a project or a user has taken of it, the more must be left."""
        free = self._most - self._taken
        return room.weight + call.weight <= free and line.weight + call.weight <= free - room.weight

    def _add(self, principal: Principal, room: _Room, line: _Line, call: _Waiting) -> None:
        project = principal.grant.bucket
        line.calls.append(call)
        line.tokens += call.tokens
        room.lines[_line_of(principal)] = line
        for part in (line, room):
            part.weight += call.weight
        self._taken += call.weight
        if room.task is None:
            self._rooms[project] = room
            room.task = asyncio.get_running_loop().create_task(self._serve(project, room))
        room.changed.set()

    def _remove(self, principal: Principal, room: _Room, line: _Line, call: _Waiting) -> None:
        line.calls.remove(call)
        line.tokens -= call.tokens
        for part in (line, room):
            part.weight -= call.weight
        self._taken -= call.weight
        if not line.calls:
            room.hold(line, 0)
            del room.lines[_line_of(principal)]
        if not line.calls or call.decided.cancelled():
            room.changed.set()

    async def _serve(self, project: str, room: _Room) -> None:
        """Let calls in as buckets drain, until nobody waits."""
        try:
            while room.lines:
                room.changed.clear()
                wait_ns = await self._let_in(room)
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_ns / SECOND + _TICK_SECONDS):
                        await room.changed.wait()
        finally:
            if room.nudge is not None:
                room.nudge.cancel()
            del self._rooms[project]

    async def _let_in(self, room: _Room) -> int:
        """Go round the lines until none of them moves; returns after how many nanoseconds one may move again."""
        wait_ns, unmoved = MINUTE, 0
        while unmoved < len(room.lines):
            name, line = next(iter(room.lines.items()))
            now_ns = self._now_ns()
            held_ns = line.held_until_ns - now_ns
            call = None if held_ns > 0 else next((call for call in line.calls if not call.decided.done()), None)
            if call is None:
                wait_ns, unmoved = min(wait_ns, held_ns if held_ns > 0 else MINUTE), unmoved + 1
                room.lines.move_to_end(name)
                continue
            room.hold(line, 0)
            try:
                decision = await self._store.admit(call.charges, now_ns)
            except Unavailable as trouble:
                call.decided.set_exception(trouble)
                continue
            retry_ns = decision.retry_after_ns
            if decision.admitted or retry_ns is None or not _may_wait(call.max_waits, decision):
                call.decided.set_result(decision)
                unmoved = 0
                room.lines.move_to_end(name)
            elif any(refusal.level is LimitLevel.PROJECT for refusal in decision.refusals):
                # Whoever is next has to pass there too. This line keeps its turn.
                room.full = True
                return min(wait_ns, retry_ns)
            else:
                room.hold(line, now_ns + retry_ns)
                wait_ns, unmoved = min(wait_ns, retry_ns), unmoved + 1
                room.lines.move_to_end(name)
        room.full = False
        return wait_ns


def _let_try(room: _Room) -> None:
    room.nudge = None
    for line in room.lines.values():
        room.hold(line, 0)
    room.changed.set()


def _line_of(principal: Principal) -> str:
    # A key's name cannot be an end user's: those are told apart by what stands before them.
    return f"key {principal.grant.key_bucket}" if principal.uid is None else f"user {principal.uid}"


def _may_wait(max_waits: Mapping[LimitLevel, int], decision: Decision) -> bool:
    return all(refusal.level in max_waits for refusal in decision.refusals)


def _patience_ns(max_waits: Mapping[LimitLevel, int], decision: Decision) -> int:
    """How long a call may wait that is refused so: as long as each of the levels allows."""
    waits = [max_waits[refusal.level] for refusal in decision.refusals if refusal.level in max_waits]
    return min(waits, default=max(max_waits.values()))


def _behind(charges: Sequence[Charge], room: _Room, line: _Line, in_line: LimitLevel) -> list[Charge]:
    """What the calls that certainly come before cost together with this one: all of its line, and a turn of others."""
    turns = len(room.lines) - room.held - (bool(line.calls) and not line.held_until_ns) if room.full else 0
    found: list[Charge] = []
    for key, rate, cost in charges:
        ahead = 0
        if key[0] is in_line or key[0] is LimitLevel.PROJECT:
            ahead = len(line.calls) if key[1] is Unit.REQUESTS else line.tokens
        if key[0] is LimitLevel.PROJECT:
            ahead += turns
        found.append((key, rate, cost + ahead))
    return found


def _result(call: _Waiting) -> Decision | None:
    """What was decided of a call whose wait has ended at the same moment."""
    decided = call.decided
    return decided.result() if decided.done() and not decided.cancelled() and decided.exception() is None else None
