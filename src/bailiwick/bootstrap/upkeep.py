"""Builds what the control process does by itself, beside what it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from bailiwick.domain.audit import UPKEEP
from bailiwick.services.acts import Acts
from bailiwick.services.budget_upkeep import forget_ended, tell_reached
from bailiwick.services.crossings import tell
from bailiwick.services.delivering import forget_old
from bailiwick.services.signing_keys import SigningKeys
from bailiwick.services.upkeep import Upkeep
from bailiwick.services.usage_hours import tell_hours
from bailiwick.storage.refused_calls import trim
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool


@asynccontextmanager
async def kept_up(
    control_url: str, acts: Acts, signing_keys: SigningKeys, *, report: Callable[[BaseException], None]
) -> AsyncGenerator[None]:
    """Keep the database up in the background, by a connection of its own; what runs on the way out is undone.

    `report` is told of errors that nobody expected.
    """
    pool = open_pool(control_url, name="control upkeep", size=1)
    await pool.open(wait=False)
    database = Database(pool)
    chores = (
        partial(trim, database),
        partial(tell, database, acts),
        partial(tell_reached, database, acts),
        partial(forget_ended, database, acts),
        partial(tell_hours, database, acts),
        partial(forget_old, database, acts),
        partial(signing_keys.look_after, UPKEEP),
    )
    running = asyncio.create_task(Upkeep(RollUp(database), chores, report=report).run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await pool.close(timeout=1.0)
