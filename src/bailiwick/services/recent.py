"""What was made a moment ago, for whoever asks for the same: however often that is, it is made a thirtieth of the time.

What took n seconds to make is good for thirty times n, and a second at most. So what is quick is as good as made anew
for everybody, and what is slow cannot take a processor from the calls of models.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar, final

_TIMES: Final = 30.0
_MOST_SECONDS: Final = 1.0

Value = TypeVar("Value")


@final
class _Reading(Generic[Value]):
    """One reading, while it goes on and as long as it is good."""

    def __init__(self, read: Callable[[], Awaitable[Value]]) -> None:
        self._clock = asyncio.get_running_loop().time
        self._good_until: float | None = None
        self.task: Final = asyncio.create_task(self._run(read))

    async def _run(self, read: Callable[[], Awaitable[Value]]) -> Value:
        began = self._clock()
        try:
            value = await read()
        except BaseException:
            self._good_until = began
            raise
        ended = self._clock()
        self._good_until = ended + min(_TIMES * (ended - began), _MOST_SECONDS)
        return value

    @property
    def is_good(self) -> bool:
        return self._good_until is None or self._clock() < self._good_until


@final
class Recent(Generic[Value]):
    """Readings by what was asked for."""

    def __init__(self) -> None:
        self._readings: dict[Hashable, _Reading[Value]] = {}

    async def get(self, asked: Hashable, read: Callable[[], Awaitable[Value]]) -> Value:
        """What a good reading found, else what `read` finds now; raises what it raises."""
        reading = self._readings.get(asked)
        if reading is None or not reading.is_good:
            self._readings = {key: one for key, one in self._readings.items() if one.is_good}
            reading = self._readings[asked] = _Reading(read)
        # Whoever goes away takes nothing from the others who wait for it.
        return await asyncio.shield(reading.task)
