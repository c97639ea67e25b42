"""May this call take its place now? The limits by address, project, key and user, in one decision.

A user's limit counts one (project, end user); a call without an end user meets the other levels only. What a refusal
tells is the strictest level; a refusal at one level consumes nothing at another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.limits import Decision, LimitLevel
from bailiwick.domain.principal import Grant, Principal
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.store import Charge
from bailiwick.storage.limit_history import LimitHistory


@final
class RateLimited(Refused):
    """Refused by a limit; `decision` says which, and when to try again."""

    def __init__(self, decision: Decision) -> None:
        """`decision` is a refusal."""
        level = "address" if decision.level is LimitLevel.IP else str(decision.level)
        super().__init__(Code.RATE_LIMITED, f"The {level}'s rate limit is reached. See Retry-After.")
        self.decision = decision


@final
class Admission:
    """Asks the limit store, once a call.

    A process that was killed has forgotten what its predecessor admitted, but the ledger has not: the first call of a
    project brings its buckets up to what is on record, so that a crash refills nobody's limit.
    """

    def __init__(
        self, store: InProcessLimitStore, history: LimitHistory, *, remembers: bool, now_ns: Callable[[], int]
    ) -> None:
        """`remembers`: the store was restored from what its predecessor saved. `now_ns` is Unix time."""
        self._store = store
        self._history = history
        self._remembers = remembers
        self._now_ns = now_ns
        self._rebuilt: dict[str, asyncio.Task[None]] = {}

    async def admit(self, principal: Principal, ip: str) -> Decision:
        """Take one request from every limit that applies; raises `RateLimited`, or `Unavailable`."""
        if not self._remembers:
            await self._rebuild(principal.grant)
        decision = await self._store.admit(charges(principal, ip), self._now_ns())
        if not decision.admitted:
            raise RateLimited(decision)
        return decision

    async def _rebuild(self, grant: Grant) -> None:
        """Rebuild a project's buckets once; all its first calls wait for the same reading."""
        task = self._rebuilt.get(grant.bucket)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(grant))
            self._rebuilt[grant.bucket] = task
        elif task.done():
            return
        try:
            await asyncio.shield(task)
        except Unavailable:
            if self._rebuilt.get(grant.bucket) is task:
                del self._rebuilt[grant.bucket]
            raise

    async def _read(self, grant: Grant) -> None:
        limits = grant.limits
        now_ns = self._now_ns()
        for level, limit in (
            (LimitLevel.PROJECT, limits.project),
            (LimitLevel.KEY, limits.key),
            (LimitLevel.USER, limits.user),
        ):
            if limit is not None:
                debts = await self._history.debts(grant.tenant_id, grant.project_id, level, limit, now_ns)
                for subject, stored in debts:
                    self._store.raise_to((level, grant.bucket, subject), stored, now_ns)


def charges(principal: Principal, ip: str) -> list[Charge]:
    """The buckets that a call of `principal` from `ip` is counted in."""
    grant = principal.grant
    limits, project = grant.limits, grant.bucket
    found: list[Charge] = []
    if limits.ip is not None:
        found.append(((LimitLevel.IP, project, ip), limits.ip))
    if limits.project is not None:
        found.append(((LimitLevel.PROJECT, project, ""), limits.project))
    if limits.key is not None:
        found.append(((LimitLevel.KEY, project, grant.key_bucket), limits.key))
    if limits.user is not None and principal.uid is not None:
        found.append(((LimitLevel.USER, project, principal.uid), limits.user))
    return found
