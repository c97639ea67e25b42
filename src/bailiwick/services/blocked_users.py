"""Who is blocked in a project, as a process that serves it keeps it in memory.

Guarantees:

- what is kept is believed only while the epoch is fresh and nobody was blocked, or let in again, in the project's part
  of the installation since; then what changed is asked for, once for all who wait, and not what stayed;
- so a block takes effect within a second, and no call of a project in which nothing changed asks the database;
- at most `_MOST_KEPT` users are kept, those of the projects that were read first leave first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import Final, final

from bailiwick.domain.ids import ProjectId
from bailiwick.domain.principal import Grant
from bailiwick.storage.end_users import BlockedChanges
from bailiwick.storage.epoch import Epoch

# About a hundred bytes each.
_MOST_KEPT: Final = 500_000


@final
class _Known:
    """What is known of a project: who is blocked, up to which change, and at which number of its part that was all."""

    __slots__ = ("change", "number", "uids")

    def __init__(self) -> None:
        self.uids: set[str] = set()
        self.change = 0
        self.number = -1


@final
class BlockedUsers:
    """The blocked users of projects. Belongs to one event loop."""

    def __init__(self, changes: BlockedChanges, epoch: Epoch, *, most_kept: int = _MOST_KEPT) -> None:
        self._changes = changes
        self._epoch = epoch
        self._most_kept = most_kept
        self._known: dict[ProjectId, _Known] = {}
        self._reading: dict[tuple[ProjectId, int], asyncio.Task[AbstractSet[str]]] = {}

    def known(self, project_id: ProjectId) -> AbstractSet[str] | None:
        """The blocked users of a project, if they may be believed now; else `read` has to be asked."""
        known = self._known.get(project_id)
        if known is None or known.number != self._epoch.blocked_in(project_id) or not self._epoch.fresh:
            return None
        return known.uids

    async def read(self, grant: Grant) -> AbstractSet[str]:
        """The blocked users of a project, asked of the database; raises `Unavailable`."""
        began = (grant.project_id, self._epoch.blocked_in(grant.project_id))
        task = self._reading.get(began)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read_changes(grant, began[1]))
            self._reading[began] = task
            task.add_done_callback(lambda done: self._finished(began, done))
        return await asyncio.shield(task)

    async def _read_changes(self, grant: Grant, number: int) -> AbstractSet[str]:
        project_id = grant.project_id
        known = self._known.get(project_id) or _Known()
        for uid, blocked, change in await self._changes.after(grant.tenant_id, project_id, known.change):
            if change > known.change:  # Else somebody who asked later was answered sooner.
                known.change = change
                if blocked:
                    known.uids.add(uid)
                else:
                    known.uids.discard(uid)
        # What was read after a number was known holds all that came up to it.
        known.number = number
        self._known[project_id] = known
        self._forget_some(project_id)
        return known.uids

    def _forget_some(self, but: ProjectId) -> None:
        kept = sum(1 + len(known.uids) for known in self._known.values())
        for project_id in [project for project in self._known if project != but]:
            if kept <= self._most_kept:
                return
            kept -= 1 + len(self._known.pop(project_id).uids)

    def _finished(self, began: tuple[ProjectId, int], done: asyncio.Task[AbstractSet[str]]) -> None:
        del self._reading[began]
        if not done.cancelled():
            done.exception()  # Whoever waited has it; nobody waiting is no error.
