"""What the control process does by itself: it keeps the roll-ups of usage near the ledger, and does its chores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Final, final

from bailiwick.domain.errors import Unavailable
from bailiwick.storage.roll_up import RollUp

# Reports read so much of the ledger's end themselves.
_SECONDS: Final = 5.0

Chore = Callable[[], Awaitable[None]]

_CHORES_EACH: Final = 12


@final
class Upkeep:
    """Runs until it is cancelled; of several processes one at a time does something."""

    def __init__(self, roll_up: RollUp, chores: Sequence[Chore], *, report: Callable[[BaseException], None]) -> None:
        """`chores` are done every minute; `report` is told of what nobody expected, and the next round is tried."""
        self._roll_up = roll_up
        self._chores = chores
        self._report = report

    async def run(self) -> None:
        """Do it again and again."""
        for number in count():
            try:
                if number % _CHORES_EACH == 0:
                    for chore in self._chores:
                        await chore()
                while await self._roll_up.step():
                    pass
            except Unavailable:
                pass  # The database is away or busy: whoever asks for something is told so.
            except Exception as error:  # noqa: BLE001 - one round's trouble is not the end of all rounds
                self._report(error)
            await asyncio.sleep(_SECONDS)
