"""What a project took away before its time, as a process that serves it keeps it in memory.

That is whom it blocked, and which tokens, sessions and users it revoked.

Guarantees:

- what is kept is believed only while the epoch is fresh and nothing was taken away, or given back, in the project's
  part of the installation since; then what changed is asked for, once for all who wait, and not what stayed;
- so it takes effect within a second, and no call of a project in which nothing changed asks the database;
- at most `_MOST_KEPT` entries are kept, those of the projects that were read first leave first.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from bailiwick.domain.ids import ProjectId
from bailiwick.domain.principal import Grant
from bailiwick.domain.revocations import RevocationKind
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.taken_away import Change, TakenAwayChanges

# About a hundred bytes each.
_MOST_KEPT: Final = 500_000


@final
class TakenAway:
    """What is known of a project: up to which change, and at which number of its part that was all."""

    __slots__ = ("blocked", "change", "number", "sessions", "tokens", "users")

    def __init__(self) -> None:
        self.blocked: set[str] = set()
        self.tokens: set[str] = set()
        self.sessions: set[str] = set()
        # Until when, in Unix seconds, what they were given counts no more.
        self.users: dict[str, float] = {}
        self.change = 0
        self.number = -1

    def __len__(self) -> int:
        """Count what is kept."""
        return len(self.blocked) + len(self.tokens) + len(self.sessions) + len(self.users)

    def has_token(
        self, *, jti: str | None, sid: str | None, uid: str | None, issued_at: float, source_jti: str | None = None
    ) -> bool:
        """Whether a token was taken away: itself, what it was exchanged for, its session, or all that its user had."""
        return (
            jti in self.tokens
            or (source_jti is not None and source_jti in self.tokens)
            or sid in self.sessions
            or (uid is not None and uid in self.users and issued_at <= self.users[uid])
        )

    def take(self, changed: Change) -> None:
        """Note one change."""
        if changed.kind is None:
            (self.blocked.add if changed.holds else self.blocked.discard)(changed.value)
        elif changed.kind is RevocationKind.TOKEN:
            self.tokens.add(changed.value)
        elif changed.kind is RevocationKind.SESSION:
            self.sessions.add(changed.value)
        else:
            until = changed.at.timestamp()
            self.users[changed.value] = max(until, self.users.get(changed.value, until))


@final
class TakenAwayKeeper:
    """Keeps it for the projects that are served. Belongs to one event loop."""

    def __init__(self, changes: TakenAwayChanges, epoch: Epoch, *, most_kept: int = _MOST_KEPT) -> None:
        self._changes = changes
        self._epoch = epoch
        self._most_kept = most_kept
        self._known: dict[ProjectId, TakenAway] = {}
        self._reading: dict[tuple[ProjectId, int], asyncio.Task[TakenAway]] = {}

    def known(self, project_id: ProjectId) -> TakenAway | None:
        """What a project took away, if it may be believed now; else `read` has to be asked."""
        known = self._known.get(project_id)
        if known is None or known.number != self._epoch.blocked_in(project_id) or not self._epoch.fresh:
            return None
        return known

    def is_current(self, taken: TakenAway, project_id: ProjectId) -> bool:
        """Whether nothing was taken away in a project since `taken` was known, while the epoch is fresh."""
        return taken.number == self._epoch.blocked_in(project_id)

    async def read(self, grant: Grant) -> TakenAway:
        """The same, asked of the database; raises `Unavailable`."""
        began = (grant.project_id, self._epoch.blocked_in(grant.project_id))
        task = self._reading.get(began)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read_changes(grant, began[1]))
            self._reading[began] = task
            task.add_done_callback(lambda done: self._finished(began, done))
        return await asyncio.shield(task)

    async def _read_changes(self, grant: Grant, number: int) -> TakenAway:
        project_id = grant.project_id
        known = self._known.get(project_id)
        if known is None:
            known = TakenAway()
        for changed in await self._changes.after(grant.tenant_id, project_id, known.change):
            if changed.change > known.change:  # Else somebody who asked later was answered sooner.
                known.change = changed.change
                known.take(changed)
        # What was read after a number was known holds all that came up to it.
        known.number = number
        self._known[project_id] = known
        self._forget_some(project_id)
        return known

    def _forget_some(self, but: ProjectId) -> None:
        kept = sum(1 + len(known) for known in self._known.values())
        for project_id in [project for project in self._known if project != but]:
            if kept <= self._most_kept:
                return
            kept -= 1 + len(self._known.pop(project_id))

    def _finished(self, began: tuple[ProjectId, int], done: asyncio.Task[TakenAway]) -> None:
        del self._reading[began]
        if not done.cancelled():
            done.exception()  # Whoever waited has it; nobody waiting is no error.
