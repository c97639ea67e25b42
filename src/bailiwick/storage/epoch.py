"""How a process learns that something it keeps in memory has changed.

Every change moves one number in the database, in the change's own transaction. A process hears of it by NOTIFY, within
milliseconds, and asks for the number once a second besides, for connections on which notifications do not arrive.
Guarantees: a value read when the epoch was N is never used once the process knows of N + 1; when the epoch has not
been confirmed for `STALE_SECONDS`, `fresh` is False and nothing in memory may be believed. Whom a project blocks moves
another number, that of its part of the installation, so that nothing else is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, final
from uuid import UUID

import psycopg

from bailiwick.storage.patience import at_most
from bailiwick.storage.scope import Conninfo, current
from bailiwick.storage.sql import load

STALE_SECONDS: Final = 2.5
_POLL_SECONDS: Final = 0.9
_RECONNECT_SECONDS: Final = 0.2

# As many as `0004_usage.sql` has.
_PARTS: Final = 64

_SQL: Final = load("credentials")


@final
class Epoch:
    """The last known number, and when it was asked for."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self.value = 0
        self._blocked: Sequence[int] = [0] * _PARTS

    @property
    def fresh(self) -> bool:
        """Whether what was read at `value` may still be believed."""
        return self._monotonic() - self._asked_at < STALE_SECONDS

    def blocked_in(self, project_id: UUID) -> int:
        """The last known number of blocks in the part of the installation that a project belongs to."""
        return self._blocked[project_id.int % _PARTS]

    def standing(self) -> tuple[int, tuple[int, ...]] | None:
        """All numbers as they are known; None while what was read may not be believed."""
        return (self.value, tuple(self._blocked)) if self.fresh else None

    def confirm(self, value: int, asked_at: float, blocked: Sequence[int] | None = None) -> None:
        """Take an answer to a question that was asked at `asked_at`, on the same monotonic clock."""
        self.value = value
        if blocked is not None:
            self._blocked = blocked
        self._asked_at = asked_at


async def follow_epoch(epoch: Epoch, conninfo: Conninfo, monotonic: Callable[[], float]) -> None:
    """Keep `epoch` confirmed until cancelled; a broken connection is opened again.

    `conninfo` is a login that may read the epoch and can LISTEN (directly, not through a transaction pooler).
    """
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(
                current(conninfo), autocommit=True, connect_timeout=2, application_name="bailiwick epoch"
            )
            async with connection:
                with at_most(STALE_SECONDS, connection):
                    await connection.execute("LISTEN bailiwick_epoch")
                while True:
                    # The time is taken before the question, so that a slow answer is not taken for a fresh one.
                    asked_at = monotonic()
                    with at_most(STALE_SECONDS, connection):
                        row = await (await connection.execute(_SQL["epoch"])).fetchone()
                    if row is not None:
                        epoch.confirm(row[0], asked_at, row[1])
                    async for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                        pass
        except (psycopg.Error, OSError):
            await asyncio.sleep(_RECONNECT_SECONDS)
