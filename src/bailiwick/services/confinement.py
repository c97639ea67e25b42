"""Keeps operators to what they reach, and counts those who turn to what is another tenant's, for the audit log.

A refusal waits for nothing: a count is written a second later with all others (`crossings.py` has what holds of them).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.administration import confine
from bailiwick.domain.crossings import Crosser
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator
from bailiwick.services.crossings import Crossings
from bailiwick.storage import refused_crossings
from bailiwick.storage.scope import Database

_SECONDS: Final = 1.0


@final
class Confinement:
    """The reach of all operators who ask one process. Belongs to one event loop."""

    def __init__(self, database: Database, process_id: UUID, *, now: Callable[[], datetime]) -> None:
        """`database` is the control process's; `process_id` is what it counts under."""
        self._database = database
        self._process_id = process_id
        self._now = now
        self._crossings = Crossings()

    def keep(self, operator: Operator, tenant_id: TenantId | None) -> None:
        """Refuse what is beyond the operator's reach; raises `Refused` (403, 404)."""
        decision = confine(operator, tenant_id)
        if decision.code is not None and tenant_id is not None:
            crosser = Crosser(operator.tenant_id, None, operator.shown_id, None)
            self._crossings.count(crosser, decision.code, self._now_us())
        decision.or_raise()

    async def run(self) -> None:
        """Write what was counted, every second, until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            with suppress(Unavailable):
                await self.flush()

    async def flush(self) -> None:
        """Write what was counted; raises `Unavailable`, and then it is written the next time."""
        counts = self._crossings.take(self._now_us())
        if not counts:
            return
        try:
            async with self._database.operating() as scope:
                await refused_crossings.count(scope, self._process_id, counts)
        except Unavailable:
            self._crossings.again(counts)
            raise

    def _now_us(self) -> int:
        return int(self._now().timestamp() * 1_000_000)
