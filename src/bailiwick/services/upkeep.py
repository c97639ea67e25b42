"""What the control process does by itself: it keeps the roll-ups of usage near the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from bailiwick.domain.errors import Unavailable
from bailiwick.storage.roll_up import RollUp

# Reports read so much of the ledger's end themselves.
_SECONDS: Final = 5.0


@final
class Upkeep:
    """Runs until it is cancelled; of several processes one at a time does something."""

    def __init__(self, roll_up: RollUp, *, report: Callable[[BaseException], None]) -> None:
        """`report` is told of what nobody expected; the next round is tried all the same."""
        self._roll_up = roll_up
        self._report = report

    async def run(self) -> None:
        """Do it again and again."""
        while True:
            try:
                while await self._roll_up.step():
                    pass
            except Unavailable:
                pass  # The database is away or busy: whoever asks for something is told so.
            except Exception as error:  # noqa: BLE001 - one round's trouble is not the end of all rounds
                self._report(error)
            await asyncio.sleep(_SECONDS)
