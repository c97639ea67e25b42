"""May this call take its place now? The limits by address, project, key and user, in one decision.

A user's limit counts one (project, end user); a call without an end user meets the other levels only. What a refusal
tells is the strictest level; a refusal at one level consumes nothing at another. Tokens are taken by estimate, and
corrected when the call settles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple, final

import msgspec

from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.limits import Decision, LimitLevel, Rate, Unit
from bailiwick.domain.principal import Grant, Principal
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.store import Charge
from bailiwick.services.callers import Recalled
from bailiwick.services.limit_rebuild import LimitRebuild
from bailiwick.services.waiting import WaitingRooms
from bailiwick.storage.limit_history import LimitHistory

# A call waits so long for its project's buckets, of which all but the largest are rebuilt by then.
_PATIENCE_SECONDS: Final = 2.0
# By names of their own, for every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_REQUESTS: Final = Unit.REQUESTS
_IP, _PROJECT, _KEY, _USER = LimitLevel


@final
class RateLimited(Refused):
    """Refused by a limit; `decision` says which, and when to try again."""

    def __init__(self, decision: Decision) -> None:
        """`decision` is a refusal."""
        level, unit, rate, cost, retry_after_ns = decision.refusals[0]
        whose = "address" if level is LimitLevel.IP else level.value
        if retry_after_ns is None:
            message = (
                f"This call may take {cost} {unit}, and the {whose}'s limit allows at most {rate.burst} at once. "
                "Send less, or ask for fewer tokens at most."
            )
        else:
            limit = "rate limit" if unit is Unit.REQUESTS else "limit on tokens"
            message = f"The {whose}'s {limit} is reached. See Retry-After."
        super().__init__(Code.RATE_LIMITED, message)
        self.decision = decision


@final
class Place(msgspec.Struct, frozen=True, gc=False):
    """What an admitted call has taken: `tokens` by estimate, 0 if nobody counts them. `waited`: it had to wait."""

    charges: list[Charge]
    decision: Decision
    tokens: int
    waited: bool


@final
class Left(NamedTuple):
    """What is `remaining` in one limit; `reset_ns` is the time until nothing of it is taken any more."""

    level: LimitLevel
    unit: Unit
    rate: Rate
    remaining: int
    reset_ns: int


@final
class Admission:
    """Asks the limit store, once a call.

    A process that was killed has forgotten what its predecessor admitted, but the ledger has not: the first call of a
    project whose buckets the store does not remember has them rebuilt, so that a crash refills nobody's limit. That
    goes on by itself, whoever waits for it; until it is done nothing of the project is admitted.
    """

    def __init__(self, store: InProcessLimitStore, history: LimitHistory, *, now_ns: Callable[[], int]) -> None:
        """`now_ns` is Unix time."""
        self._store = store
        self._history = history
        self._now_ns = now_ns
        self.waiting: Final = WaitingRooms(store, now_ns=now_ns)
        self._rebuilds: dict[str, LimitRebuild] = {}
        self._running: dict[str, asyncio.Task[Unavailable | None]] = {}

    @property
    def buckets(self) -> int:
        """How many buckets of limits are held."""
        return len(self._store)

    async def admit(
        self, principal: Principal, ip: str, tokens: int, size: int, *, recalled: Recalled | None = None
    ) -> Place:
        """Take one request, and so many `tokens`, from every limit that applies; wait for a turn where they say so.

        `size` is the body's, in bytes, which are held meanwhile. `recalled` is what was decided on whoever asks from
        this address, None for nothing. Raises `RateLimited`, or `Unavailable`.
        """
        if not self._store.remembers(principal.grant.bucket):
            await self._rebuilt(principal.grant)
        if recalled is None or tokens:
            charged = charges(principal, ip, tokens)
        else:
            charged = recalled.charges = recalled.charges or charges(principal, ip, tokens)
        may_wait = bool(principal.grant.limits.max_waits)
        waited = may_wait and self.waiting.must_wait(principal, charged)
        decision = None if waited else self._store.admit_now(charged, self._now_ns())
        if decision is None or (may_wait and not decision.admitted):
            waited = True
            decision = await self.waiting.wait(principal, charged, size)
        if not decision.admitted:
            raise RateLimited(decision)
        return Place(charged, decision, tokens, waited)

    async def left(self, principal: Principal, ip: str) -> list[Left]:
        """What is left in each limit that applies, of which nothing is taken; raises `Unavailable`."""
        charged = charges(principal, ip, 1)
        if charged and not self._store.remembers(principal.grant.bucket):
            await self._rebuilt(principal.grant)
        found: list[Left] = []
        for charge in charged:
            (level, unit, _, _), rate, _ = charge
            decision, _ = await self._store.foresee([charge], self._now_ns())
            stands = decision.requests or decision.tokens
            if stands is not None:
                # What was foreseen is one call more than there is, if it would be admitted.
                one, its_ns = (1, rate.interval // rate.ticks) if decision.admitted else (0, 0)
                reset_ns = max(0, stands.reset_ns - its_ns)
                found.append(Left(level, unit, rate, stands.remaining + one, reset_ns))
        return found

    async def give_back(self, place: Place) -> None:
        """Return what `admit` took for a call that is refused all the same; at most once."""
        await self._store.refund(place.charges, place.decision, self._now_ns())
        self.waiting.freed(place.charges)

    def correct(self, place: Place, tokens: int) -> None:
        """Say what a call really used, when it is over; at most once."""
        self._store.correct(place.charges, place.decision, tokens, self._now_ns())
        if tokens < place.tokens:
            self.waiting.freed(place.charges)

    async def aclose(self) -> None:
        """Stop rebuilding, and let nobody in any more; what is not whole then is rebuilt by the next process."""
        await self.waiting.aclose()
        for task in [*self._running.values()]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _rebuilt(self, grant: Grant) -> None:
        """Wait, for a while, until a project's buckets are rebuilt; all its calls wait for the same reading."""
        task = self._running.get(grant.bucket)
        if task is None:
            rebuild = self._rebuilds.setdefault(
                grant.bucket, LimitRebuild(self._store, self._history, grant, self._now_ns)
            )
            task = asyncio.get_running_loop().create_task(self._run(grant.bucket, rebuild))
            self._running[grant.bucket] = task
        done, _ = await asyncio.wait([task], timeout=_PATIENCE_SECONDS)
        if not done:
            left = self._rebuilds[grant.bucket].seconds_left()
            raise Unavailable(cause="a project's limits are being rebuilt from the ledger", retry_after=left)
        if (trouble := task.result()) is not None:
            raise Unavailable(cause=trouble.cause) from trouble

    async def _run(self, project: str, rebuild: LimitRebuild) -> Unavailable | None:
        """Rebuild; returns what came in the way, and the next call goes on from there."""
        try:
            await rebuild.run()
        except Unavailable as trouble:
            return trouble
        finally:
            del self._running[project]
        del self._rebuilds[project]
        return None


def charges(principal: Principal, ip: str, tokens: int) -> list[Charge]:
    """The buckets that a call of `principal` from `ip` is counted in; without `tokens`, none that counts these."""
    grant = principal.grant
    bucket = grant.bucket
    subjects = {_IP: ip, _PROJECT: "", _KEY: grant.key_bucket, _USER: principal.uid}
    found: list[Charge] = []
    for level, unit, rate in grant.limits.rates:
        cost = 1 if unit is _REQUESTS else tokens
        subject = subjects[level]
        if cost and subject is not None:
            found.append(((level, unit, bucket, subject), rate, cost))
    return found
