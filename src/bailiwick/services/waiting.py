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
  until tokens were given back;
- to let one call in, the limits are asked about few others, however many wait: a project's queue takes no time that
  other projects need.

A line stands at the bucket that refuses its first call for the longest time, behind all others that wait for the same
bucket. When a bucket has drained, only the line that is first there is tried.
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
from bailiwick.limiting.store import BucketKey, Charge, LimitStore
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
    """One call, `in_line` until it is decided: `decided` becomes what admits it, or says that it may no longer wait."""

    __slots__ = ("charges", "decided", "in_line", "max_waits", "tokens", "weight")

    def __init__(self, charges: Sequence[Charge], max_waits: Mapping[LimitLevel, int], weight: int) -> None:
        self.charges = charges
        self.max_waits = max_waits
        self.tokens = max((cost for key, _, cost in charges if key[1] is Unit.TOKENS), default=0)
        self.weight = weight
        self.in_line = True
        self.decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()


@final
class _Line:
    """One user's calls that are still to be decided, and at which stop they are: None if there are none."""

    __slots__ = ("calls", "name", "stop", "tokens", "weight")

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: deque[_Waiting] = deque()
        self.stop: _Stop | None = None
        self.tokens = 0
        self.weight = 0


@final
class _Stop:
    """A bucket that refuses the first of these lines until `until_ns`; the others stand behind it, in turn."""

    __slots__ = ("bucket", "lines", "until_ns")

    def __init__(self, bucket: BucketKey | None, until_ns: int) -> None:
        """`bucket` None: where lines are that no bucket is known to refuse."""
        self.bucket = bucket
        self.until_ns = until_ns
        self.lines: OrderedDict[str, _Line] = OrderedDict()

    @property
    def is_own(self) -> bool:
        """Whether nobody else waits for this bucket: who leaves it has not stood behind others yet."""
        return self.bucket is None or self.bucket[0] is LimitLevel.USER


@final
class _Room:
    """One project's lines, and where each of them stands."""

    __slots__ = ("changed", "freed", "lines", "nudge", "stops", "task", "undecided", "weight")

    def __init__(self) -> None:
        self.lines: dict[str, _Line] = {}
        self.undecided = _Stop(None, 0)
        self.stops: dict[BucketKey, _Stop] = {}
        # Buckets to which something was given back since the last nudge.
        self.freed: set[BucketKey] = set()
        self.changed = asyncio.Event()
        self.nudge: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None
        self.weight = 0

    def move(self, line: _Line, stop: _Stop | None) -> None:
        """Have a line stand at the end of `stop`; None: nowhere, since it has no more calls."""
        before = line.stop
        if before is not None:
            del before.lines[line.name]
            if before.bucket is not None and not before.lines:
                del self.stops[before.bucket]
        line.stop = stop
        if stop is not None:
            stop.lines[line.name] = line
            if stop.bucket is not None:
                self.stops[stop.bucket] = stop

    def leave(self, line: _Line, call: _Waiting) -> None:
        """Take a call out of its line, which keeps its turn, if it has other calls."""
        if line.calls[0] is call and line.stop is not None:
            line.stop.until_ns = 0  # Whoever is first there now may pass earlier.
        line.calls.remove(call)
        line.tokens -= call.tokens
        call.in_line = False
        if not line.calls:
            self.move(line, None)

    def stop_of(self, charges: Sequence[Charge], *, besides: _Stop | None = None) -> _Stop | None:
        """Where others wait for one of these buckets."""
        found = (self.stops.get(key) for key, _, _ in charges)
        return next((stop for stop in found if stop is not None and stop is not besides), None)


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

    def must_wait(self, principal: Principal, charges: Sequence[Charge]) -> bool:
        """Whether others wait for the same as a call of `principal`, so that it has to stand behind them."""
        room = self._rooms.get(principal.grant.bucket)
        return room is not None and (_line_of(principal) in room.lines or room.stop_of(charges) is not None)

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
        self._add(principal.grant.bucket, room, line, call)
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
            self._remove(room, line, call)

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
        if room is None:
            return
        room.freed.update(key for key, _, _ in charges if key in room.stops)
        if room.freed and room.nudge is None:
            room.nudge = asyncio.get_running_loop().call_later(_NUDGE_SECONDS, _let_try, room)

    async def aclose(self) -> None:
        """Let nobody in any more."""
        for task in [room.task for room in self._rooms.values() if room.task is not None]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _place_of(self, principal: Principal) -> tuple[_Room, _Line]:
        """Where a call would stand."""
        room, name = self._rooms.get(principal.grant.bucket) or _Room(), _line_of(principal)
        return room, room.lines.get(name) or _Line(name)

    def _fits(self, room: _Room, line: _Line, call: _Waiting) -> bool:
        """Whether there is room: the more a project or a user has taken of it, the more must be left."""
        free = self._most - self._taken
        return room.weight + call.weight <= free and line.weight + call.weight <= free - room.weight

    def _add(self, project: str, room: _Room, line: _Line, call: _Waiting) -> None:
        line.calls.append(call)
        line.tokens += call.tokens
        room.lines[line.name] = line
        if line.stop is None:
            room.move(line, room.undecided)
        for part in (line, room):
            part.weight += call.weight
        self._taken += call.weight
        if room.task is None:
            self._rooms[project] = room
            room.task = asyncio.get_running_loop().create_task(self._serve(project, room))
        room.changed.set()

    def _remove(self, room: _Room, line: _Line, call: _Waiting) -> None:
        """Let a call go whose wait is over, whatever ended it."""
        if call.in_line:
            room.leave(line, call)
            room.changed.set()
        for part in (line, room):
            part.weight -= call.weight
        self._taken -= call.weight
        if not line.weight:
            del room.lines[line.name]
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
        """Let in whoever may pass now; returns after how many nanoseconds somebody may again."""
        await self._go_round(room, room.undecided)
        now_ns = self._now_ns()
        for stop in [stop for stop in room.stops.values() if stop.until_ns <= now_ns]:
            await self._go_round(room, stop)
        return min((stop.until_ns - now_ns for stop in room.stops.values()), default=MINUTE)

    async def _go_round(self, room: _Room, stop: _Stop) -> None:
        """Let the lines of a stop in, a call each in turn, until its bucket refuses the next of them."""
        while stop.lines:
            line = next(iter(stop.lines.values()))
            call = line.calls[0]
            if call.decided.done():  # Its wait has ended in this moment.
                room.leave(line, call)
                continue
            if stop.is_own and (behind := room.stop_of(call.charges, besides=stop)) is not None:
                room.move(line, behind)
                continue
            refused = await self._decide(call)
            if refused is None:
                room.leave(line, call)
                if line.calls:
                    room.move(line, stop)
                continue
            bucket, until_ns = refused
            if bucket == stop.bucket:
                stop.until_ns = until_ns
                return
            room.move(line, room.stops.get(bucket) or _Stop(bucket, until_ns))

    async def _decide(self, call: _Waiting) -> tuple[BucketKey, int] | None:
        """Decide a call, unless it has to go on waiting: then returns for which bucket, and until when."""
        now_ns = self._now_ns()
        try:
            decision = await self._store.admit(call.charges, now_ns)
        except Unavailable as trouble:
            call.decided.set_exception(trouble)
            return None
        retry_ns = decision.retry_after_ns
        if decision.admitted or retry_ns is None or not _may_wait(call.max_waits, decision):
            call.decided.set_result(decision)
            return None
        first = decision.refusals[0]
        bucket = next(key for key, _, _ in call.charges if key[:2] == (first.level, first.unit))
        return bucket, now_ns + retry_ns


def _let_try(room: _Room) -> None:
    room.nudge = None
    for bucket in room.freed & room.stops.keys():
        room.stops[bucket].until_ns = 0
    room.freed.clear()
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
    found: list[Charge] = []
    for key, rate, cost in charges:
        ahead = 0
        if key[0] is in_line or key[0] is LimitLevel.PROJECT:
            ahead = len(line.calls) if key[1] is Unit.REQUESTS else line.tokens
        if (stop := room.stops.get(key)) is not None:
            ahead += len(stop.lines) - (line.name in stop.lines)
        found.append((key, rate, cost + ahead))
    return found


def _result(call: _Waiting) -> Decision | None:
    """What was decided of a call whose wait has ended at the same moment."""
    decided = call.decided
    return decided.result() if decided.done() and not decided.cancelled() and decided.exception() is None else None
