"""Notes of calls that we refused, off their path: kept for a while for whoever asks why, and counted by the hour.

Guarantees:

- a refusal waits for nothing: a note is a few values in a list, written a second later with all others;
- nobody writes our disk full: of a project so many a second are kept and no more, of all together likewise, and the
  control process removes old ones; those not kept are counted all the same, and how many they were is a metric;
- who was refused what is another's is counted for the audit log (`crossings.py`);
- nothing of a body, no header and no secret is in a note; only what the caller was told, and who it was.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, final

from bailiwick.domain.crossings import USER, Crosser, is_crossing
from bailiwick.domain.errors import Code, Unavailable
from bailiwick.domain.explanation import STEP_OF, Step
from bailiwick.domain.ids import KEY, PROJECT, ProjectId, TenantId, shown
from bailiwick.services.crossings import Crossings
from bailiwick.storage.refused_calls import Note, RefusalCount, RefusalStore
from bailiwick.telemetry.metrics import Metrics
from bailiwick.telemetry.observer import Observation

_SECONDS: Final = 1.0
_MOST: Final = 500
_MOST_OF_PROJECT: Final = 50
_LONGEST_REASON: Final = 400
# Projects times codes times two hours.
_MOST_COUNTED: Final = 50_000
_HOUR_US: Final = 3_600_000_000

_Counted = tuple[TenantId, ProjectId, str, int]


@final
class Refusals:
    """The notes of one process. Belongs to one event loop."""

    def __init__(self, store: RefusalStore, metrics: Metrics, *, now_us: Callable[[], int]) -> None:
        """`now_us` is Unix time in microseconds; `metrics` count what is not kept."""
        self._store = store
        self._metrics = metrics
        self._now_us = now_us
        self._notes: list[Note] = []
        self._of_project: Counter[ProjectId] = Counter()
        self._counts: Counter[_Counted] = Counter()
        self._changed: set[_Counted] = set()
        self._crossings = Crossings()

    def note(self, seen: Observation) -> None:
        """Take down a request of which we refused something, if we know whose it is: the call, or a part of its answer.

        What a provider refused is nothing that we did.
        """
        grant, code, reason = seen.grant, seen.code, seen.reason
        if seen.blocked:
            code, reason = Code.TOOL_NOT_ALLOWED, _blocked(seen.blocked)
        elif seen.outcome is not None:
            return
        now = self._now_us()
        crosser = _crosser(seen)
        if crosser is not None and code is not None and is_crossing(code, _step(seen, code)):
            self._crossings.count(crosser, code, now)
        if grant is None or code is None:
            return
        self._count((grant.tenant_id, grant.project_id, code.value, now - now % _HOUR_US))
        if len(self._notes) >= _MOST or self._of_project[grant.project_id] >= _MOST_OF_PROJECT:
            self._metrics.refused_calls_dropped += 1
            return
        self._of_project[grant.project_id] += 1
        principal = seen.principal
        self._notes.append(
            Note(
                id=seen.id,
                tenant_id=grant.tenant_id,
                project_id=grant.project_id,
                key_id=grant.key_id,
                at_us=now,
                uid=None if principal is None else principal.uid,
                sid=None if principal is None else principal.sid,
                door=seen.door,
                status=seen.status,
                code=code.value,
                step=_step(seen, code),
                reason=_written(reason or ""),
            )
        )

    async def run(self) -> None:
        """Write what was noted, every second, until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted; what a database that is away does not take is dropped, but for the counts."""
        notes, self._notes = self._notes, []
        self._of_project.clear()
        changed, self._changed = self._changed, set()
        crossed = self._crossings.take(self._now_us())
        if not notes and not changed and not crossed:
            return
        counts = [RefusalCount(tenant, project, code, hour, self._counts[tenant, project, code, hour])
                  for tenant, project, code, hour in changed]  # fmt: skip
        try:
            await self._store.write(notes, counts, crossed)
        except Unavailable:
            self._metrics.refused_calls_dropped += len(notes)
            self._changed |= changed
            self._crossings.again(crossed)
        past = self._now_us() - 2 * _HOUR_US
        for key in [key for key in self._counts if key[3] < past and key not in self._changed]:
            del self._counts[key]

    def _count(self, key: _Counted) -> None:
        if key in self._counts or len(self._counts) < _MOST_COUNTED:
            self._counts[key] += 1
            self._changed.add(key)


def _crosser(seen: Observation) -> Crosser | None:
    """Who asks, if anybody is known to: whoever holds the credential, and for whom they speak."""
    grant, principal = seen.grant, seen.principal
    if grant is None:
        return seen.outsider
    actor = USER if grant.key_id is None else shown(KEY, grant.key_id)
    return Crosser(grant.tenant_id, grant.project_id, actor, None if principal is None else principal.uid)


def _step(seen: Observation, code: Code) -> Step | None:
    principal = seen.principal
    elsewhere = None if principal is None else principal.project
    if code is Code.FORBIDDEN and elsewhere is not None and seen.grant is not None:
        return Step.PERMISSION if elsewhere == shown(PROJECT, seen.grant.project_id) else Step.ORGANIZATION
    return STEP_OF.get(code)


def _blocked(tools: Sequence[str]) -> str:
    names = ", ".join(map(repr, tools))
    return f"The model called tools that it was not offered; their calls were taken out of its answer: {names}."


def _written(reason: str) -> str:
    """A reason as the database can hold it: names in it are the caller's, and may be anything."""
    return reason[:_LONGEST_REASON].replace("\0", "").encode(errors="replace").decode()
