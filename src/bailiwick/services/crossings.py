"""Counts refused crossings, a minute at a time, off the path of calls; and tells of them in the audit log.

Guarantees: what is kept grows with how many tenants are concerned, and never with how often somebody tries; an entry
is written once its minute is over, and what it was counted from is removed in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.audit_chain import Chain
from bailiwick.domain.crossings import ACTION, MOST_CALLERS, OTHERS, Crosser
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.times import written
from bailiwick.services.acts import Acts
from bailiwick.storage import refused_crossings
from bailiwick.storage.refused_crossings import Count, Taken
from bailiwick.storage.scope import Database

_MINUTE_US: Final = 60_000_000
_MINUTE: Final = timedelta(minutes=1)
# A gateway tells what it counted a second later.
_AFTER: Final = timedelta(seconds=30)
_AT_ONCE: Final = 200
_MOST: Final = 20_000

_Key = tuple[int, Crosser, str]


@final
class Crossings:
    """What one process has counted. Belongs to one event loop."""

    def __init__(self) -> None:
        self._counts: Counter[_Key] = Counter()
        self._callers: Counter[tuple[int, TenantId | None]] = Counter()
        self._changed: set[_Key] = set()

    def count(self, crosser: Crosser, code: Code, now_us: int) -> None:
        """Count one, of now."""
        minute = now_us - now_us % _MINUTE_US
        key = (minute, crosser, code.value)
        if key not in self._counts:
            tenant = (minute, crosser.tenant_id)
            if self._callers[tenant] >= MOST_CALLERS:
                key = (minute, Crosser(crosser.tenant_id, None, OTHERS, None), code.value)
            if len(self._counts) >= _MOST and key not in self._counts:
                return
            self._callers[tenant] += 1
        self._counts[key] += 1
        self._changed.add(key)

    def take(self, now_us: int) -> list[Count]:
        """What has changed since it was last taken; what is long over, and was taken before, is forgotten."""
        changed, self._changed = self._changed, set()
        told = [
            Count(crosser.tenant_id, crosser.project_id, minute, crosser.actor, crosser.uid, code, self._counts[key])
            for key in changed
            for minute, crosser, code in (key,)
        ]
        past = now_us - 2 * _MINUTE_US
        for key in [key for key in self._counts if key[0] < past and key not in changed]:
            del self._counts[key]
        for tenant in [tenant for tenant in self._callers if tenant[0] < past]:
            del self._callers[tenant]
        return told

    def again(self, told: list[Count]) -> None:
        """What was taken could not be written."""
        for one in told:
            crosser = Crosser(one.tenant_id, one.project_id, one.actor, one.uid)
            self._changed.add((one.minute_us, crosser, one.code))


async def tell(database: Database, acts: Acts) -> None:
    """Write to the audit log what was counted of minutes that are over; raises `Unavailable`."""
    before = acts.now() - _MINUTE - _AFTER
    async with database.operating() as scope:
        chains = await refused_crossings.chains(scope, before)
    for tenant_id in chains:
        more = True
        while more:
            async with database.operating() as scope:
                taken = await refused_crossings.take(scope, tenant_id, before, _AT_ONCE)
                for one in taken:
                    actor = Actor(name=one.actor, shown=one.uid)
                    await acts.record(
                        scope, actor, ACTION, _target(tenant_id, one), tenant_id=tenant_id, detail=_detail(one)
                    )
            more = len(taken) == _AT_ONCE


def _target(tenant_id: Chain, taken: Taken) -> str:
    """Where whoever was refused is at home."""
    if taken.project_id is not None:
        return ids.shown(ids.PROJECT, ProjectId(taken.project_id))
    return INSTALLATION if tenant_id is None else ids.shown(ids.TENANT, tenant_id)


def _detail(taken: Taken) -> dict[str, object]:
    return {
        "code": taken.code,
        "times": taken.refused,
        "from": written(taken.minute),
        "to": written(taken.minute + _MINUTE),
    }
