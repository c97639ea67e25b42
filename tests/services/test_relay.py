"""A stream that comes faster than it is read: others have their turn between."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from bailiwick.providers.answers.completions import COMPLETIONS
from bailiwick.services.relay import _AT_ONCE, _Stream

# What a stream of comments has no use for.
_ANY: Final[Any] = None
CHUNK = b":\n\n" * 80_000


class Burst:
    """A provider whose whole answer is here at once."""

    def __init__(self) -> None:
        self.left = [CHUNK]

    def whole(self, limit: int) -> bytes | None:
        del limit

    async def next_chunk(self) -> bytes | None:
        return self.left.pop() if self.left else None


async def test_others_have_their_turn_while_a_burst_of_events_is_read() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    stream = _Stream(COMPLETIONS, _ANY, _ANY, usage_wanted=True)
    provider: Any = Burst()
    waiting = asyncio.create_task(others())
    shown = b""
    while (events := await stream.next_events(provider)) is not None:
        shown += events
    waiting.cancel()
    assert shown == CHUNK
    assert turns >= len(CHUNK) // _AT_ONCE - 2
