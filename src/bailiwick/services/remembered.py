"""What a process keeps of the database in memory, and for how long it may believe it.

Guarantees, whatever the order of events:

- an entry is used only while the epoch is fresh and the same as when its reading began, so an answer that was on its
  way while something changed is used for the calls that waited for it and never kept;
- without a fresh epoch every call goes to the database, and if that is down too it raises `Unavailable`;
- callers who ask for the same thing at the same time share one reading, and one caller's cancellation is not the
  others';
- at most `capacity` entries are kept, the oldest leave first; what is absent (None) has a room of its own, so that no
  number of questions about what nobody has can make it forget what somebody has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar, final

from bailiwick.storage.epoch import Epoch

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_ABSENT_KEPT: Final = 1_000


@final
class Remembered(Generic[Key, Value]):
    """Values by key, read through `read` and forgotten as a whole when the epoch moves."""

    def __init__(self, read: Callable[[Key], Awaitable[Value]], epoch: Epoch, *, capacity: int) -> None:
        self._read = read
        self._epoch = epoch
        self._capacity = capacity
        self._entries: dict[Key, Value] = {}
        self._absent: dict[Key, Value] = {}
        self._entries_of = -1
        self._reading: dict[tuple[Key, int], asyncio.Task[Value]] = {}

    def __len__(self) -> int:
        """How many entries are kept."""
        return len(self._entries) + len(self._absent)

    async def get(self, key: Key) -> Value:
        """The value of `key`; raises what `read` raises."""
        epoch = self._epoch
        if epoch.fresh:
            if self._entries_of != epoch.value:
                self._entries, self._absent = {}, {}
                self._entries_of = epoch.value
            elif (value := self._entries.get(key)) is not None:  # One look: what ids hash by is written in Python.
                return value
            elif key in self._absent:
                return self._absent[key]
        return await self._load(key)

    def at_hand(self, key: Key) -> Value | None:
        """The value of `key` if it is kept and may be believed; None too if nobody knows."""
        return self._entries.get(key) if self.unchanged_since(self._entries_of) else None

    def unchanged_since(self, epoch: int) -> bool:
        """Whether what was at hand at `epoch` may still be believed."""
        return self._epoch.value == epoch and self._epoch.fresh

    @property
    def epoch(self) -> int:
        """The epoch of what is at hand."""
        return self._entries_of

    def last(self, key: Key) -> Value | None:
        """What was last known of `key`, whether or not it may still be believed; None if nothing was."""
        return self._entries.get(key)

    async def _load(self, key: Key) -> Value:
        began = self._epoch.value
        task = self._reading.get((key, began))
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read_and_keep(key, began))
            self._reading[key, began] = task
            task.add_done_callback(lambda done: self._finished(key, began, done))
        return await asyncio.shield(task)

    async def _read_and_keep(self, key: Key, began: int) -> Value:
        was_fresh = self._epoch.fresh
        value = await self._read(key)
        if was_fresh and self._epoch.value == began == self._entries_of:
            room, capacity = (self._entries, self._capacity) if value is not None else (self._absent, _ABSENT_KEPT)
            while len(room) >= capacity:
                del room[next(iter(room))]
            room[key] = value
        return value

    def _finished(self, key: Key, began: int, done: asyncio.Task[Value]) -> None:
        del self._reading[key, began]
        if not done.cancelled():
            done.exception()  # Whoever waited has it; nobody waiting is no error.
