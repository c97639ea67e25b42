"""Group commit: what arrives together is written together, and the next batch leaves when the last has returned.

No timer and no fixed size: under light load a batch is one item and leaves at once; under heavy load batches grow by
themselves. Guarantees:

- `add` returns when the item is durable, raises what the store said of that item, or returns False after `patience`
  seconds without the database (the item is then still kept and written as soon as the database is back);
- an item that the database refuses hurts no other: its batch is tried again item by item;
- a batch whose connection broke is tried again, so the writing statement must be idempotent;
- an item whose caller was cancelled is written all the same, unless the batcher was told what to do with such items.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar, final

import psycopg

from bailiwick.storage.scope import TROUBLE

Item = TypeVar("Item")

MAX_BATCH: Final = 500
_RETRY_SECONDS: Final = 0.1


@final
class _Entry(Generic[Item]):
    __slots__ = ("item", "written")

    def __init__(self, item: Item, written: asyncio.Future[bool]) -> None:
        self.item = item
        self.written = written

    def fail(self, error: Exception) -> None:
        if not self.written.done():
            self.written.set_exception(error)


@final
class Batcher(Generic[Item]):
    """Writes items in batches through one function, one batch at a time."""

    def __init__(
        self,
        write: Callable[[list[Item]], Awaitable[None]],
        *,
        patience: float,
        undo: Callable[[list[Item]], None] | None = None,
    ) -> None:
        """Make a batcher, on the running event loop, around `write`, which makes a batch durable.

        After `patience` seconds without a database the callers get False. With `undo` the batch is then dropped, and
        `undo` is told of every item that may be written though nobody waits for it any more; without it, the batch is
        kept and tried until it is written.
        """
        self._write = write
        self._patience = patience
        self._undo = undo
        self._waiting: list[_Entry[Item]] = []
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """How many items wait for the next batch."""
        return len(self._waiting)

    def add(self, item: Item) -> asyncio.Future[bool]:
        """Queue an item; the future says whether it is durable by now."""
        entry = _Entry(item, self._loop.create_future())
        self._waiting.append(entry)
        if self._task is None:
            self._task = self._loop.create_task(self._run())
        return entry.written

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._write_batch(batch)
        finally:
            self._task = None

    async def _write_batch(self, batch: list[_Entry[Item]]) -> None:
        if self._undo is not None:
            batch = [entry for entry in batch if not entry.written.cancelled()]
        if not batch:
            return
        gives_up_at = self._loop.time() + self._patience
        items = [entry.item for entry in batch]
        while True:
            try:
                await self._write(items)
            except TROUBLE:
                if self._loop.time() >= gives_up_at and self._give_up(batch):
                    return
                await asyncio.sleep(_RETRY_SECONDS)
            except psycopg.Error as refusal:
                if len(batch) > 1:
                    for entry in batch:
                        await self._write_batch([entry])
                else:
                    batch[0].fail(refusal)
                return
            except Exception as defect:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                for entry in batch:
                    entry.fail(defect)
                return
            else:
                self._tell_written(batch)
                return

    def _tell_written(self, batch: list[_Entry[Item]]) -> None:
        for entry in batch:
            if not entry.written.done():
                entry.written.set_result(True)
            elif self._undo is not None and entry.written.cancelled():
                self._undo([entry.item])

    def _give_up(self, batch: list[_Entry[Item]]) -> bool:
        """Let the callers go; returns whether the batch is dropped with them."""
        for entry in batch:
            if not entry.written.done():
                entry.written.set_result(False)
        if self._undo is None:
            return False
        self._undo([entry.item for entry in batch])
        return True
