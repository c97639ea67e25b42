"""How a process learns that something it keeps in memory has changed.

Every change moves one number in the database, in the change's own transaction. A process hears of it by NOTIFY, within
milliseconds, and asks for the number once a second besides, for connections on which notifications do not arrive.
Guarantees: a value read when the epoch was N is never used once the process knows of N + 1; when the epoch has not
been confirmed for `STALE_SECONDS`, `fresh` is False and nothing in memory may be believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

import psycopg

from bailiwick.storage.patience import at_most
from bailiwick.storage.sql import load

STALE_SECONDS: Final = 2.5
_POLL_SECONDS: Final = 0.9
_RECONNECT_SECONDS: Final = 0.2

_SQL: Final = load("credentials")


@final
class Epoch:
    """The last known number, and when it was asked for."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self.value = 0

    @property
    def fresh(self) -> bool:
        """Whether what was read at `value` may still be believed."""
        return self._monotonic() - self._asked_at < STALE_SECONDS

    def confirm(self, value: int, asked_at: float) -> None:
        """Take an answer to a question that was asked at `asked_at`, on the same monotonic clock."""
        self.value = value
        self._asked_at = asked_at


async def follow_epoch(epoch: Epoch, conninfo: str, monotonic: Callable[[], float]) -> None:
    """Keep `epoch` confirmed until cancelled; a broken connection is opened again.

    `conninfo` is a login that may read the epoch and can LISTEN (directly, not through a transaction pooler).
    """
    while True:
        try:
            connection = await psycopg.AsyncConnection.connect(
                conninfo, autocommit=True, connect_timeout=2, application_name="bailiwick epoch"
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
                        epoch.confirm(row[0], asked_at)
                    async for _ in connection.notifies(timeout=_POLL_SECONDS, stop_after=1):
                        pass
        except (psycopg.Error, OSError):
            await asyncio.sleep(_RECONNECT_SECONDS)
