"""Tells the operator when the database goes away and when it is back: one line for each change, not for each call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bailiwick.telemetry.logs import Log

_LOOK_SECONDS: Final = 0.5


async def tell_of_database(ready: Callable[[], bool], log: Log) -> None:
    """Watch until cancelled; `ready` says whether the database answers."""
    # The driver tells of every connection that it cannot make, at length.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    answered = True
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if ready() == answered:
            continue
        answered = not answered
        if answered:
            log.warning("the database answers again")
        else:
            log.warning("the database does not answer; calls are refused until it does")
