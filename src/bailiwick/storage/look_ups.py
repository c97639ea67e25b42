"""Looks things up before any tenant is known: by exact texts, through functions that can do nothing else.

Whoever knows the form of such a text can ask for any number of things that nobody has. So a look-up takes no connection
of its own: those that arrive while one batch is being read leave together in the next. However many they are, a thing
that exists waits for a few readings, and one connection serves them all.
"""

from __future__ import annotations

import asyncio
from typing import Final, final

from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import Sql

_MOST_AT_ONCE: Final = 500

_Asked = tuple[str, asyncio.Future[Row | None]]


@final
class LookUps:
    """Look-ups by one query, as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database, query: Sql, *, by: str) -> None:
        """`query` takes a list of texts and answers at most one row for each, which holds the text in column `by`."""
        self._database = database
        self._query = query
        self._by = by
        self._waiting: list[_Asked] = []
        self._reading: asyncio.Task[None] | None = None

    async def find(self, text: str) -> Row | None:
        """The row of this text; None if there is none. Raises `Unavailable`."""
        loop = asyncio.get_running_loop()
        found: asyncio.Future[Row | None] = loop.create_future()
        self._waiting.append((text, found))
        if self._reading is None:
            self._reading = loop.create_task(self._read_waiting())
        return await found

    async def _read_waiting(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._read(batch)
        finally:
            self._reading = None

    async def _read(self, batch: list[_Asked]) -> None:
        try:
            async with self._database.reading(None) as scope:
                rows = await scope.fetch_all(self._query, ([text for text, _ in batch],))
        except Exception as trouble:  # noqa: BLE001 - whatever it is, nobody may wait for ever
            # It is also that of those behind: they would only wait as long again to be told the same.
            batch, self._waiting = batch + self._waiting, []
            for _, found in batch:
                if not found.done():
                    found.set_exception(trouble)
            return
        by_text = {row[self._by]: row for row in rows}
        for text, found in batch:
            if not found.done():
                found.set_result(by_text.get(text))
