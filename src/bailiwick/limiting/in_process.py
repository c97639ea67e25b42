"""The limit store of a single process: dictionaries, one synchronous decision, a few microseconds.

Guarantees:
- It decides exactly as `bailiwick.domain.limits.decide`. The admitted path repeats that arithmetic in place, because it
  is on the path of every call; all else goes through the domain's own functions, and tests compare the two.
- No method waits, so that on one event loop every decision is atomic.
- Memory follows the buckets that are in debt. A hand goes round all buckets, a few steps with every admission and more
  with every new bucket, and forgets the empty ones.
- At its maximum it refuses to open a bucket (`Unavailable`) and evicts nothing: to evict is to refill, so whoever can
  invent subjects could wash out their own debt. Whoever has a bucket is served as before. A project may open one only
  while it holds at most four times what is still free: alone it can fill four fifths, and however many projects are
  flooded, room is left for the users of the others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, final

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.limits import (
    MOST_TOKENS,
    Decision,
    Standing,
    Stored,
    Unit,
    check_cost,
    correct,
    decide,
    drained,
    refund,
    standing,
    stricter,
    wait_ns,
)
from bailiwick.limiting.snapshots import decode_buckets, encode_buckets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailiwick.domain.limits import Rate
    from bailiwick.limiting.store import BucketKey, Charge

# By a name of their own, on the path of every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_REQUESTS: Final = Unit.REQUESTS
_TOKENS: Final = Unit.TOKENS
# About 350 bytes a bucket: 350 MB when full.
_MOST_BUCKETS: Final = 1_000_000
_SHARE_OF_FREE: Final = 4
_STEPS: Final = 1
_STEPS_FOR_NEW: Final = 2
_STEPS_AT_ONCE: Final = 16
_STEPS_WHEN_FULL: Final = 200


@final
class InProcessLimitStore:
    """A `LimitStore` for exactly one process; behind several, each would admit the whole limit."""

    def __init__(self, *, most_buckets: int = _MOST_BUCKETS) -> None:
        """Hold at most `most_buckets`; those that were saved or rebuilt are always taken in."""
        self._most = most_buckets
        self._buckets: dict[BucketKey, Stored] = {}
        # Every key of `_buckets` exactly once, in the order in which the hand comes to it.
        self._round: deque[BucketKey] = deque()
        self._of_project: dict[str, int] = {}
        self._remembered: set[str] = set()
        self._now_ns = 0
        self._steps_due = 0

    def __len__(self) -> int:
        """Count the buckets held, with the empty ones that the hand has not come to yet."""
        return len(self._buckets)

    async def admit(self, charges: Sequence[Charge], now_ns: int) -> Decision:
        """See `LimitStore.admit`."""
        return self.admit_now(charges, now_ns)

    def admit_one(self, key: BucketKey, rate: Rate, now_ns: int) -> bool:
        """Take one from one bucket that is there, if it has room; else nothing is taken or known, and `admit_now` says.

        The shortest way for what every request is asked.
        """
        stored = self._buckets.get(key)
        if stored is None or stored[3] is not rate or now_ns < self._now_ns:
            return False
        now, (drained_at, returned, since_ns, _) = now_ns * rate.ticks, stored
        if drained_at <= now:
            drained_at, returned, since_ns = now, 0, now_ns
        drained_at += rate.interval
        if drained_at - now > rate.tolerance:
            return False
        self._now_ns = now_ns
        self._buckets[key] = (drained_at, returned, since_ns, rate)
        self._move_hand(_STEPS)
        return True

    def admit_now(self, charges: Sequence[Charge], now_ns: int) -> Decision:
        """See `LimitStore.admit`; at once."""
        now_ns = self._seen(now_ns)
        admitted = True
        if not charges:
            return Decision(admitted, None, None, (), now_ns, ())
        find = self._buckets.get
        taken: dict[BucketKey, Stored] = {}
        missing: list[BucketKey] = []
        requests: Standing | None = None
        tokens: Standing | None = None
        fewest_requests = fewest_tokens = MOST_TOKENS
        for key, rate, cost in charges:
            if cost < 1:
                check_cost(cost)
            interval = rate.interval
            now = now_ns * rate.ticks
            debt = cost * interval
            returned = 0
            since_ns = now_ns
            stored = find(key)
            if stored is None:
                missing.append(key)
            elif stored[3] is rate:
                if stored[0] > now:
                    debt += stored[0] - now
                    returned = stored[1]
                    since_ns = stored[2]
            else:
                earlier, returned, since_ns = standing(rate, stored, now_ns)
                debt += earlier
            if debt > rate.tolerance:
                return decide([(key[0], key[1], rate, cost, find(key)) for key, rate, cost in charges], now_ns)
            remaining = (rate.tolerance - debt) // interval
            if key[1] is _REQUESTS:
                if remaining < fewest_requests:
                    fewest_requests = remaining
                    requests = Standing(key[0], rate, remaining, -(-debt // rate.ticks))
            elif remaining < fewest_tokens:
                fewest_tokens = remaining
                tokens = Standing(key[0], rate, remaining, -(-debt // rate.ticks))
            taken[key] = (now + debt, returned, since_ns, rate)
        if missing and not self._has_room(missing):
            return self._admit_after_search(charges, now_ns)
        self._write(taken, missing)
        return Decision(admitted, requests, tokens, (), now_ns, [*taken.values()])

    async def refund(self, charges: Sequence[Charge], decision: Decision, now_ns: int) -> None:
        """See `LimitStore.refund`."""
        now_ns = self._seen(now_ns)
        for (key, _, cost), receipt in zip(charges, decision.taken, strict=True):
            stored = refund(receipt, cost, cost, decision.at_ns, self._buckets.get(key), now_ns)
            if stored is not None:
                self._buckets[key] = stored

    def correct(self, charges: Sequence[Charge], decision: Decision, tokens: int, now_ns: int) -> None:
        """See `LimitStore.correct`. A bucket that was forgotten meanwhile is opened again, room or not."""
        now_ns = self._seen(now_ns)
        for (key, _, cost), receipt in zip(charges, decision.taken, strict=True):
            if key[1] is _TOKENS:
                held = self._buckets.get(key)
                stored = correct(receipt, cost, tokens, decision.at_ns, held, now_ns)
                if stored is not None:
                    if held is None:
                        self._open([key])
                    self._buckets[key] = stored

    async def foresee(self, charges: Sequence[Charge], now_ns: int) -> tuple[Decision, int]:
        """See `LimitStore.foresee`."""
        now_ns = self._seen(now_ns)
        asked = [(key[0], key[1], rate, cost, self._buckets.get(key)) for key, rate, cost in charges]
        wait = max((wait_ns(rate, cost, stored, now_ns) for _, _, rate, cost, stored in asked), default=0)
        return decide(asked, now_ns), wait

    def snapshot(self) -> bytes:
        """Write down every bucket in debt, for `restore`; called when no more calls are admitted."""
        live = ((key, stored) for key, stored in self._buckets.items() if not drained(stored, self._now_ns))
        return encode_buckets(self._now_ns, self._remembered, live)

    def restore(self, data: bytes, now_ns: int) -> None:
        """Take in a snapshot, or raise DamagedSnapshot and change nothing; debts that are larger here are kept.

        If it was made by a clock that was ahead of `now_ns`, the debts are what they were then: buckets would not drain
        before this clock has caught up, which may be in a day.
        """
        saved_ns, projects, buckets = decode_buckets(data)
        ahead_ns = max(0, saved_ns - now_ns)
        for key, (drained_at, returned, since_ns, rate) in buckets:
            stored = (drained_at - ahead_ns * rate.ticks, returned, since_ns - ahead_ns, rate)
            self.raise_to(key, stored, saved_ns - ahead_ns)
        self._remembered |= projects

    def remembers(self, project: str) -> bool:
        """Whether all that a project's limits took is here: what was saved, or rebuilt, and all since."""
        return project in self._remembered

    def remember(self, project: str) -> None:
        """Say that a project's buckets are whole from now on."""
        self._remembered.add(project)

    def raise_to(self, key: BucketKey, stored: Stored, now_ns: int) -> None:
        """Bring a bucket up to what is on record elsewhere; it keeps its own debt if that is larger.

        For the time before calls are admitted: arrivals that both records hold count once, others are not added up.
        """
        now_ns = self._seen(now_ns)
        held = self._buckets.get(key)
        if held is None:
            self._open([key])
        self._buckets[key] = stricter(held, stored, now_ns)

    def _seen(self, now_ns: int) -> int:
        """Let time stand still while the clock is behind what it once said: forgotten buckets were empty only then."""
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _has_room(self, missing: Sequence[BucketKey]) -> bool:
        share = _SHARE_OF_FREE * (self._most - len(self._buckets) - len(missing))
        return all(self._of_project.get(key[2], 0) + len(missing) <= share for key in missing)

    def _admit_after_search(self, charges: Sequence[Charge], now_ns: int) -> Decision:
        """Look for empty buckets once more, and decide anew: some that were forgotten may be this call's own."""
        self._forget_empty(_STEPS_WHEN_FULL)
        if not self._has_room([key for key, _, _ in charges if key not in self._buckets]):
            raise Unavailable(cause=f"the limit store holds {len(self._buckets)} buckets, of at most {self._most}")
        return self.admit_now(charges, now_ns)

    def _write(self, taken: Mapping[BucketKey, Stored], missing: Sequence[BucketKey]) -> None:
        if missing:
            self._open(missing)
        self._buckets.update(taken)
        self._move_hand(_STEPS + _STEPS_FOR_NEW * len(missing))

    def _move_hand(self, steps: int) -> None:
        """Move it on now and then by what has come together: it is done in one go for less."""
        self._steps_due += steps
        if self._steps_due >= _STEPS_AT_ONCE:
            self._forget_empty(self._steps_due)
            self._steps_due = 0

    def _open(self, keys: Sequence[BucketKey]) -> None:
        """Count and queue buckets that the caller is about to write."""
        self._round.extend(keys)
        for _, _, project, _ in keys:
            self._of_project[project] = self._of_project.get(project, 0) + 1

    def _forget_empty(self, steps: int) -> None:
        """Move the hand on."""
        buckets, queue, now_ns = self._buckets, self._round, self._now_ns
        for _ in range(min(steps, len(queue))):
            key = queue.popleft()
            stored = buckets[key]
            if stored[0] > now_ns * stored[3].ticks:  # As `drained`.
                queue.append(key)
                continue
            del buckets[key]
            left = self._of_project[key[2]] - 1
            if left:
                self._of_project[key[2]] = left
            else:
                del self._of_project[key[2]]
