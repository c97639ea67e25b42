"""Follows the ledger into the roll-ups that reports read.

Every row of the ledger says which transaction wrote it. All transactions below a snapshot's xmin have ended, in
whatever order, so what they wrote is complete and nothing can be added to it: it is counted, and the watermark moved
past it, in one transaction. Whatever is killed in the middle has counted nothing. A transaction that stays open holds
the watermark back and nothing else, since reports read what is beyond it from the ledger.
"""

from __future__ import annotations

from typing import Final, final

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.usage_report import DOUBLINGS
from bailiwick.storage.scope import Database
from bailiwick.storage.sql import load

_SQL: Final = load("roll_up")
# So many rows at once, or those of one transaction if it wrote more.
_MOST_AT_ONCE: Final = 20_000


@final
class RollUp:
    """Rolls up as the operator's role, since it counts for every tenant."""

    def __init__(self, database: Database, *, most_at_once: int = _MOST_AT_ONCE) -> None:
        """`database` is the control process's."""
        self._database = database
        self._most = most_at_once
        self._at_once = most_at_once

    async def step(self) -> bool:
        """Count what the next transactions wrote; returns whether there may be more to count now.

        Does nothing while another process is at it. Raises `Unavailable`; the next step is then a smaller one.
        """
        try:
            more = await self._step()
        except Unavailable:
            self._at_once = max(self._at_once // 2, 1)
            raise
        self._at_once = min(self._at_once * 2, self._most)
        return more

    async def _step(self) -> bool:
        async with self._database.operating() as scope:
            turn = await scope.fetch_one(_SQL["take_turn"])
            if turn is None or not turn["mine"]:
                return False
            row = await scope.fetch_one(_SQL["watermark"])
            if row is None:
                return False
            span = {"since": row["watermark"], "complete": row["complete"], "most": self._at_once}
            stretch = await scope.fetch_one(_SQL["next_stretch"], span)
            if stretch is None or stretch["until"] is None:
                return False
            values = {"since": row["watermark"], "until": stretch["until"], "doublings": DOUBLINGS}
            await scope.execute(_SQL["roll_up"], values)
            return bool(stretch["more"])
