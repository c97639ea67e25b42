"""Group commit: what arrives together is written together, and the next batch leaves when the last has returned.

No timer and no fixed size: under light load a batch is one item and leaves at once; under heavy load batches grow by
themselves. Guarantees:

- the future of `add` says True when the item is durable, raises what the store said of that item, or says False when
  it is not durable `patience` seconds after it was added (and up to `_SWEEP_SECONDS` more), whatever the database does;
- an item that the database refuses hurts no other: its batch is tried again item by item;
- a batch whose connection broke is tried again, so the writing statement must be idempotent;
- an item that nobody waits for any more is written all the same, unless the batcher was told how to take such items
  back: then it is written no more, and taken back if it may have been.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, Literal, Protocol, TypeAlias, TypeVar, final

import msgspec
import psycopg

from bailiwick.storage.ledger_connection import REFUSALS
from bailiwick.storage.scope import TROUBLE

Item = TypeVar("Item")
Step: TypeAlias = Literal["open", "settle"]
Wrote: TypeAlias = Callable[[Step, int, float], None]
"""Is told of a batch that was written: what it did, to how many items, and how many seconds that took."""

MAX_BATCH: Final = 500
# How long a call may wait for a database that is restarting before it is refused, or answered unsettled.
OPEN_PATIENCE: Final = 3.0
SETTLE_PATIENCE: Final = 5.0
_RETRY_SECONDS: Final = 0.1
_SWEEP_SECONDS: Final = 0.5


class Write(Protocol[Item]):
    """Makes a batch durable; `again`: some of it may be so already, since the connection broke over an earlier try."""

    async def __call__(self, items: list[Item], /, *, again: bool) -> None:
        """Raises one of `REFUSALS` when an item is refused; any other trouble is worth another try."""
        ...


@final
class _Entry(msgspec.Struct, Generic[Item], frozen=True):
    item: Item
    written: asyncio.Future[bool]
    added_at: float

    def fail(self, error: Exception) -> None:
        if not self.written.done():
            self.written.set_exception(error)


@final
class Batcher(Generic[Item]):
    """Writes items in batches through one function, one batch at a time."""

    def __init__(
        self,
        write: Write[Item],
        *,
        patience: float,
        undo: Callable[[list[Item]], None] | None = None,
    ) -> None:
        """Make a batcher, on the running event loop, around `write`.

        Callers wait at most `patience` seconds. With `undo`, an item that nobody waits for is dropped, and `undo` is
        told of it if it may have been written; without, it is kept and tried until it is written.
        """
        self._write = write
        self._patience = patience
        self._undo = undo
        self._waiting: list[_Entry[Item]] = []
        self._writing: list[_Entry[Item]] = []
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """How many items wait for the next batch."""
        return len(self._waiting)

    def add(self, item: Item) -> asyncio.Future[bool]:
        """Queue an item; the future says whether it is durable by now."""
        entry = _Entry(item, self._loop.create_future(), self._loop.time())
        self._waiting.append(entry)
        if self._task is None:
            self._task = self._loop.create_task(self._run())
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(_SWEEP_SECONDS, self._sweep)
        return entry.written

    async def drain(self) -> None:
        """Wait until nothing is left to write."""
        while self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while self._waiting:
                self._writing, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
                await self._write_batch(self._writing, tried=False)
        finally:
            self._task = None
            self._writing = []

    async def _write_batch(self, batch: list[_Entry[Item]], *, tried: bool) -> None:
        """Write a batch; `tried`: some of it may be written already."""
        while batch := self._still_wanted(batch, tried=tried):
            try:
                await self._write([entry.item for entry in batch], again=tried)
            except REFUSALS as refusal:
                if len(batch) > 1:
                    for entry in batch:
                        await self._write_batch([entry], tried=tried)
                else:
                    batch[0].fail(refusal)
                return
            except (psycopg.Error, *TROUBLE):
                tried = True
                await asyncio.sleep(_RETRY_SECONDS)
            except Exception as defect:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                for entry in batch:
                    entry.fail(defect)
                return
            else:
                self._tell_written(batch)
                return

    def _still_wanted(self, batch: list[_Entry[Item]], *, tried: bool) -> list[_Entry[Item]]:
        """Drop what nobody waits for any more, if it can be taken back."""
        if self._undo is None or not any(entry.written.done() for entry in batch):
            return batch
        if tried:
            self._undo([entry.item for entry in batch if entry.written.done()])
        return [entry for entry in batch if not entry.written.done()]

    def _tell_written(self, batch: list[_Entry[Item]]) -> None:
        for entry in batch:
            if not entry.written.done():
                entry.written.set_result(True)
            elif self._undo is not None:
                self._undo([entry.item])

    def _sweep(self) -> None:
        """Let go of those who have waited for too long; rest when there is nothing to wait for."""
        latest = self._loop.time() - self._patience
        for entry in (*self._writing, *self._waiting):
            if entry.added_at <= latest and not entry.written.done():
                entry.written.set_result(False)
        self._sweeper = None if self._task is None else self._loop.call_later(_SWEEP_SECONDS, self._sweep)
